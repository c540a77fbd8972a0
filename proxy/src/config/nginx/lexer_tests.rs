//! The lexer against nginx's rules, one by one, and against itself.

use proptest::prelude::*;

use super::*;

/// All statements of a text, or the error and its line.
fn read(text: &str) -> Result<Vec<Lexeme>, (String, u32)> {
    let mut lexer = Lexer::file(text.as_bytes().to_owned());
    let mut all = Vec::new();
    loop {
        match lexer.read() {
            Ok(Lexeme::End) => return Ok(all),
            Ok(lexeme) => all.push(lexeme),
            Err(error) => return Err((error, lexer.line())),
        }
    }
}

/// The words of the first statement.
fn words(text: &str) -> Vec<String> {
    match read(text).expect("well-formed").into_iter().next() {
        Some(Lexeme::Statement { words, .. }) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_as_nginx_reads_them() {
    for (text, expected) in [
        ("a b  c\t\td\r\ne;", &["a", "b", "c", "d", "e"][..]),
        ("a \"b c\" 'd \"e';", &["a", "b c", "d \"e"]),
        ("a \"\" '';", &["a", "", ""]),
        ("a \"b\\\"c\" 'd\\'e' f\\ g;", &["a", "b\"c", "d'e", "f\\ g"]),
        (r"a b\tc\rd\ne\\f\.g;", &["a", "b\tc\rd\ne\\f\\.g"]),
        (r"location ~ \.php$;", &["location", "~", r"\.php$"]),
        ("a b\"c\"d e'f;", &["a", "b\"c\"d", "e'f"]),
        ("a ${b}c \"${d}\" $e{", &["a", "${b}c", "${d}", "$e"]),
        ("a b#c;", &["a", "b#c"]),
        ("a # b;\n c;", &["a", "c"]),
        ("# one ; { } \" '\na;", &["a"]),
        ("a b\\;c;", &["a", "b\\;c"]),
        ("a \\{b;", &["a", "\\{b"]),
        ("a b}c;", &["a", "b}c"]),
        ("if (\"a\") {", &["if", "(\"a\")"]),
        ("if ( \"a\") {", &["if", "(", "a", ")"]),
        ("a \"b\"{", &["a", "b"]),
        ("a é\u{4e2d};", &["a", "é\u{4e2d}"]),
    ] {
        assert_eq!(words(text), expected, "{text:?}");
    }
}

#[test]
fn statements_open_and_close() {
    let statement = |words: &[&str], opens| Lexeme::Statement {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        opens,
    };
    assert_eq!(
        read("http{server{listen 80;}}#end"),
        Ok(vec![
            statement(&["http"], true),
            statement(&["server"], true),
            statement(&["listen", "80"], false),
            Lexeme::Close,
            Lexeme::Close,
        ])
    );
    assert_eq!(read(""), Ok(vec![]));
    assert_eq!(read(" \n# nothing"), Ok(vec![]));
}

#[test]
fn what_nginx_refuses() {
    let end = "unexpected end of file, expecting \";\" or \"}\"";
    for (text, error, line) in [
        (";", "unexpected \";\"", 1),
        ("{", "unexpected \"{\"", 1),
        ("a;;", "unexpected \";\"", 1),
        ("a\nb }", "unexpected \"}\"", 2),
        ("a \"b\"c;", "unexpected \"c\"", 1),
        ("a \"b\"};", "unexpected \"}\"", 1),
        ("a 'b'\"c\";", "unexpected \"\"\"", 1),
        ("a", end, 1),
        ("a\n", end, 2),
        ("a \"b;\n\n", end, 3),
        ("\"", end, 1),
        ("a b\\;", end, 1),
        ("a \"b\"", end, 1),
        ("a # b;", end, 1),
    ] {
        let result = read(text).map(|lexemes| lexemes.len());
        assert_eq!(result, Err((error.to_owned(), line)), "{text:?}");
    }
}

#[test]
fn long_words_are_refused_where_they_begin() {
    let long = |n: usize| "x".repeat(n);
    assert_eq!(words(&format!("a {};", long(4095)))[1].len(), 4095);
    assert_eq!(words(&format!("a \"{}\";", long(4094)))[1].len(), 4094);
    assert!(read(&format!("#{}\na;", long(4094))).is_ok());
    for (text, error) in [
        (format!("a\n{}\n;", long(4096)), "too long parameter \"xxxxxxxxxx...\" started"),
        (
            format!("a\n\"{}\n\";", long(4096)),
            "too long parameter, probably missing terminating \"\"\" character",
        ),
        (format!("a;\n#{}\n;", long(4096)), "too long parameter \"#xxxxxxxxx...\" started"),
    ] {
        assert_eq!(read(&text), Err((error.to_owned(), 2)));
    }
}

#[test]
fn the_parameter_of_g_ends_in_its_own_words() {
    let mut lexer = Lexer::parameter("daemon off");
    assert_eq!(lexer.read(), Err("unexpected end of parameter, expecting \";\"".to_owned()));
    let mut lexer = Lexer::parameter("daemon off;");
    assert!(matches!(lexer.read(), Ok(Lexeme::Statement { .. })));
    assert_eq!(lexer.read(), Ok(Lexeme::End));
}

#[test]
fn words_are_utf8_and_comments_anything() {
    let read = |bytes: &[u8]| Lexer::file(bytes.to_owned()).read();
    assert!(read(b"# \xff\na;").is_ok());
    assert!(read(b"a \xff;").expect_err("not UTF-8").ends_with("only comments may be anything else"));
}

/// A word as one would quote it.
fn quoted(word: &str, quote: char) -> String {
    let mut text = String::from(quote);
    for char in word.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            char => {
                if char == quote {
                    text.push('\\');
                }
                text.push(char);
            }
        }
    }
    text.push(quote);
    text
}

proptest! {
    #[test]
    fn words_written_with_quotes_read_back(
        statements in prop::collection::vec(
            prop::collection::vec(("\\PC{0,12}|[a-z{};$\\\\'\"#\n\t\r ]{0,12}", prop::bool::ANY), 1..5), 0..5
        ),
        space in "[ \t\r\n]{1,3}|\n# a \"comment;\n",
        opens in prop::bool::ANY,
    ) {
        let mut text = String::new();
        for words in &statements {
            for (word, is_single) in words {
                text.push_str(&quoted(word, if *is_single { '\'' } else { '"' }));
                text.push_str(&space);
            }
            text.push(if opens { '{' } else { ';' });
        }
        let expected: Vec<_> = statements
            .into_iter()
            .map(|words| Lexeme::Statement { words: words.into_iter().map(|word| word.0).collect(), opens })
            .collect();
        prop_assert_eq!(read(&text), Ok(expected), "{}", text);
    }

    #[test]
    fn any_text_ends(text in "\\PC{0,80}|[a-c \n;{}$\"'\\\\#]{0,80}") {
        let mut lexer = Lexer::file(text.clone().into_bytes());
        let lines = text.matches('\n').count();
        for _ in 0..=text.len() {
            match lexer.read() {
                Ok(Lexeme::End) | Err(_) => {
                    prop_assert!(lexer.line() as usize <= lines + 1);
                    return Ok(());
                }
                Ok(Lexeme::Statement { words, .. }) => prop_assert!(!words.is_empty()),
                Ok(Lexeme::Close) => {}
            }
        }
        prop_assert!(false, "it does not end");
    }
}
