//! Regular expressions of PCRE, as nginx takes them, in the words of the crate `regex`.
//!
//! The two languages look alike, and some of what one takes means something else in the other (`[a&&b]`, `\<`, `a++`).
//! So nothing passes unread: each item is written anew, and what the crate cannot do is refused by name. As nginx sets no
//! `PCRE2_UTF`, a character is a byte; only what is asked of Unicode's properties (`\p`) is asked of code points.

use std::fmt::Write as _;

use super::pattern::PatternError;

/// An expression in the crate's words, for a builder without Unicode.
pub(super) fn translate(source: &str) -> Result<String, PatternError> {
    let mut translation = Translation {
        rest: source,
        out: String::with_capacity(source.len()),
        modes: Modes::default(),
        outer: Vec::new(),
        before: Before::Nothing,
    };
    while let Some(c) = translation.bump() {
        translation.item(c)?;
    }
    match translation.outer.is_empty() {
        true => Ok(translation.out),
        false => Err(PatternError::new("missing closing parenthesis")),
    }
}

struct Translation<'s> {
    rest: &'s str,
    out: String,
    modes: Modes,
    /// Those that hold again behind the groups that are open.
    outer: Vec<Modes>,
    before: Before,
}

/// The end of the text, or of the last line if that ends with a line feed. Without look-around this takes the line feed:
/// a group around a `$` has it too, and nothing else could match behind it.
const END: &str = r"(?:\n?\z)";

/// The options whose meaning is written out here; the crate has the others.
#[derive(Clone, Copy, Default)]
struct Modes {
    /// `x`: space and comments are ignored.
    ignores_space: bool,
    /// `m`: `$` is the end of every line.
    has_lines: bool,
}

/// What a quantifier would be for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Item,
}

/// A member of a class of characters.
enum Member {
    /// A character as it was written.
    Char(char),
    /// A byte, or a code point in a class that has properties.
    Code(u32),
    /// A set, in the crate's words.
    Set(String),
    /// A set by a property of Unicode's.
    Property(String),
    /// A `-` that stands for a range where one can be.
    Hyphen,
}

impl<'s> Translation<'s> {
    fn bump(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What stands before the next `end`, and takes both.
    fn until(&mut self, end: &str) -> Option<&'s str> {
        let (text, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(text)
    }

    /// As many of the next digits as there may be.
    fn digits(&mut self, radix: u32, max: usize) -> &'s str {
        let length = self.rest.chars().take(max).take_while(|c| c.is_digit(radix)).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits
    }

    /// Writes an item that a quantifier can be for.
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.before = Before::Item;
    }

    /// Writes an item that no quantifier can be for.
    fn assert(&mut self, text: &str) {
        self.out.push_str(text);
        self.before = Before::Nothing;
    }

    /// Writes a character that stands for itself. A quantifier is for the last of its bytes.
    fn literal(&mut self, c: char) {
        for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
            code(u32::from(byte), &mut self.out);
        }
        self.before = Before::Item;
    }

    fn item(&mut self, c: char) -> Result<(), PatternError> {
        match c {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => self.group()?,
            ')' => {
                let modes = self.outer.pop();
                self.modes = modes.ok_or_else(|| PatternError::new("unmatched closing parenthesis"))?;
                self.put(")");
            }
            '|' => self.assert("|"),
            '*' | '+' | '?' => self.quantifier(c.encode_utf8(&mut [0; 4]))?,
            '{' => match counts(self.rest)? {
                Some(length) => {
                    let (counts, rest) = self.rest.split_at(length);
                    self.rest = rest;
                    self.quantifier(&format!("{{{counts}"))?;
                }
                None => self.literal(c),
            },
            '^' => self.assert("^"),
            '$' if self.modes.has_lines => self.assert("$"),
            '$' => self.assert(END),
            '.' => self.put("."),
            ' ' | '\t'..='\r' if self.modes.ignores_space => {}
            '#' if self.modes.ignores_space => {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            }
            c => self.literal(c),
        }
        Ok(())
    }

    fn quantifier(&mut self, text: &str) -> Result<(), PatternError> {
        if self.before == Before::Nothing {
            return Err(PatternError::new("quantifier does not follow a repeatable item"));
        }
        self.out.push_str(text);
        // Both ways of going on belong to it; the crate has one.
        if self.rest.starts_with('+') {
            return Err(PatternError::new("possessive quantifiers are not supported"));
        }
        if self.eat("?") {
            self.out.push('?');
        }
        self.before = Before::Nothing;
        Ok(())
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) -> Result<(), PatternError> {
        let c = self.escaped()?;
        match c {
            'Q' => {
                let text = self.quoted();
                text.chars().for_each(|c| self.literal(c));
            }
            'E' => {}
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => self.put(&format!("\\{c}")),
            'b' | 'B' | 'A' | 'z' => self.assert(&format!("\\{c}")),
            'Z' => self.assert(END),
            'N' if !self.rest.starts_with('{') || counts(&self.rest[1..])?.is_some() => self.put(r"[^\n]"),
            '1'..='9' | 'g' | 'k' => return Err(PatternError::new("backreferences are not supported")),
            _ => match self.member(c)? {
                Member::Code(value) => {
                    code(value, &mut self.out);
                    self.before = Before::Item;
                }
                Member::Char(c) => self.literal(c),
                Member::Set(set) => self.put(&format!("[{set}]")),
                Member::Property(property) => self.put(&format!("(?u:{property})")),
                Member::Hyphen => self.literal('-'),
            },
        }
        Ok(())
    }

    fn escaped(&mut self) -> Result<char, PatternError> {
        self.bump().ok_or_else(|| PatternError::new("\\ at end of pattern"))
    }

    /// What stands between `\Q` and `\E`.
    fn quoted(&mut self) -> &'s str {
        self.until(r"\E").unwrap_or_else(|| std::mem::take(&mut self.rest))
    }

    /// What an escape stands for that means the same in classes and outside.
    fn member(&mut self, c: char) -> Result<Member, PatternError> {
        Ok(match c {
            'n' => Member::Code(0x0a),
            'r' => Member::Code(0x0d),
            't' => Member::Code(0x09),
            'f' => Member::Code(0x0c),
            'a' => Member::Code(0x07),
            'e' => Member::Code(0x1b),
            'v' => Member::Set(r"\n-\r\x85".into()),
            'V' => Member::Set(r"[^\n-\r\x85]".into()),
            'h' => Member::Set(r"\t\x20\xa0".into()),
            'H' => Member::Set(r"[^\t\x20\xa0]".into()),
            '0' => byte(self.digits(8, 2), 8)?,
            'x' if self.eat("{") => {
                let digits = self.until("}").filter(|digits| !digits.is_empty());
                byte(digits.ok_or_else(|| PatternError::new("digits missing after \\x"))?, 16)?
            }
            'x' => byte(self.digits(16, 2), 16)?,
            'p' | 'P' if self.eat("{") => {
                let name =
                    self.until("}").ok_or_else(|| PatternError::new("malformed \\P or \\p sequence"))?;
                Member::Property(format!("\\{c}{{{name}}}"))
            }
            'p' | 'P' => Member::Property(format!("\\{c}{}", self.escaped()?)),
            c if c.is_ascii_alphanumeric() => {
                return Err(PatternError::new(format!("\\{c} is not supported")));
            }
            c => Member::Char(c),
        })
    }

    fn group(&mut self) -> Result<(), PatternError> {
        let unsupported = |rest: &str, start: &str| {
            let next =
                rest.chars().next().filter(char::is_ascii_graphic).map(String::from).unwrap_or_default();
            PatternError::new(format!("{start}{next} is not supported"))
        };
        if self.rest.starts_with('*') {
            return Err(unsupported(self.rest, "("));
        }
        if !self.eat("?") {
            self.open("(");
            return Ok(());
        }
        if ["=", "!", "<=", "<!"].iter().any(|start| self.rest.starts_with(start)) {
            return Err(PatternError::new(
                "look-around, including look-ahead and look-behind, is not supported",
            ));
        }
        if self.eat("#") {
            let comment = self.until(")");
            return comment.map(|_| ()).ok_or_else(|| PatternError::new("missing ) after (?# comment"));
        }
        let end = if self.eat("P<") || self.eat("<") { Some(">") } else { self.eat("'").then_some("'") };
        if let Some(end) = end {
            let name = self.until(end).unwrap_or_default();
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(PatternError::new("malformed subpattern name"));
            }
            self.open(&format!("(?<{name}>"));
            return Ok(());
        }
        let mut modes = self.modes;
        let (mut options, mut is_on) = (String::new(), true);
        let ends = loop {
            match self.rest.chars().next() {
                Some(end @ (')' | ':')) => break end,
                Some('-') if is_on => is_on = false,
                Some('x') if !self.rest.starts_with("xx") => modes.ignores_space = is_on,
                Some(option @ ('i' | 'm' | 's' | 'U')) => {
                    modes.has_lines = if option == 'm' { is_on } else { modes.has_lines };
                    options.push_str(if is_on || options.contains('-') { "" } else { "-" });
                    options.push(option);
                }
                _ => return Err(unsupported(self.rest, "(?")),
            }
            self.bump();
        };
        self.bump();
        if ends == ':' {
            self.open(&format!("(?{options}:"));
        } else {
            let options = if options.is_empty() { options } else { format!("(?{options})") };
            self.assert(&options);
        }
        self.modes = modes;
        Ok(())
    }

    fn open(&mut self, start: &str) {
        self.out.push_str(start);
        self.outer.push(self.modes);
        self.before = Before::Nothing;
    }

    fn class(&mut self) -> Result<(), PatternError> {
        if self.named().is_some() {
            return Err(PatternError::new("POSIX named classes are supported only within a class"));
        }
        while self.eat(r"\E") {}
        let is_negated = self.eat("^");
        let mut members = Vec::new();
        // The first is no end.
        let mut is_first = true;
        loop {
            let c =
                self.bump().ok_or_else(|| PatternError::new("missing terminating ] for character class"))?;
            match c {
                ']' if !is_first => break,
                '[' => members.push(match self.named() {
                    Some(name) if SETS.contains(&name.strip_prefix('^').unwrap_or(name)) => {
                        Member::Set(format!("[:{name}:]"))
                    }
                    Some(_) => return Err(PatternError::new("unknown POSIX class name")),
                    None => Member::Char('['),
                }),
                '\\' => self.class_escape(&mut members)?,
                '-' => members.push(Member::Hyphen),
                c => members.push(Member::Char(c)),
            }
            is_first = false;
        }
        let has_property = members.iter().any(|member| matches!(member, Member::Property(_)));
        let mut set = String::from(if is_negated { "[^" } else { "[" });
        append(&codes(members, has_property), &mut set)?;
        set.push(']');
        self.put(&if has_property { format!("(?u:{set})") } else { set });
        Ok(())
    }

    /// Takes the rest of `[:name:]`, `[.name.]` or `[=name=]`, if it is one (PCRE's `check_posix_syntax`).
    fn named(&mut self) -> Option<&'s str> {
        let mark = self.rest.bytes().next().filter(|mark| b":.=".contains(mark))?;
        let inner = &self.rest.as_bytes()[1..];
        let mut at = 0;
        loop {
            match inner.get(at..at + 2)? {
                [b'\\', b']' | b'\\'] => at += 2,
                [b']', _] => return None,
                [b'[', next] if *next == mark => return None,
                [first, b']'] if *first == mark => break,
                _ => at += 1,
            }
        }
        let name = &self.rest[1..=at];
        self.rest = &self.rest[at + 3..];
        Some(if mark == b':' { name } else { "" })
    }

    fn class_escape(&mut self, members: &mut Vec<Member>) -> Result<(), PatternError> {
        let c = self.escaped()?;
        members.push(match c {
            'Q' => {
                members.extend(self.quoted().chars().map(Member::Char));
                return Ok(());
            }
            'E' => return Ok(()),
            // ASCII's whatever else is in the class.
            'd' => Member::Set("[:digit:]".into()),
            'D' => Member::Set("[:^digit:]".into()),
            'w' => Member::Set("[:word:]".into()),
            'W' => Member::Set("[:^word:]".into()),
            's' => Member::Set("[:space:]".into()),
            'S' => Member::Set("[:^space:]".into()),
            'b' => Member::Code(0x08),
            c => self.member(c)?,
        });
        Ok(())
    }
}

/// The names of sets that both know.
const SETS: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The members of a class with the characters as bytes, or as code points.
fn codes(members: Vec<Member>, is_of_points: bool) -> Vec<Member> {
    let mut codes = Vec::with_capacity(members.len());
    for member in members {
        match member {
            Member::Char(c) if is_of_points => codes.push(Member::Code(u32::from(c))),
            Member::Char(c) => {
                let mut space = [0; 4];
                codes.extend(c.encode_utf8(&mut space).bytes().map(|byte| Member::Code(u32::from(byte))));
            }
            other => codes.push(other),
        }
    }
    codes
}

/// Writes the members of a class, with a range wherever PCRE sees one.
fn append(mut members: &[Member], out: &mut String) -> Result<(), PatternError> {
    let value = |member: &Member| match member {
        Member::Code(value) => Some(*value),
        Member::Hyphen => Some(u32::from('-')),
        _ => None,
    };
    loop {
        members = match members {
            [] => return Ok(()),
            [from, Member::Hyphen, to, rest @ ..] => {
                let (Some(from), Some(to)) = (value(from), value(to)) else {
                    return Err(PatternError::new("invalid range in character class"));
                };
                if from > to {
                    return Err(PatternError::new("range out of order in character class"));
                }
                code(from, out);
                out.push('-');
                code(to, out);
                rest
            }
            [Member::Set(set) | Member::Property(set), rest @ ..] => {
                out.push_str(set);
                rest
            }
            [one, rest @ ..] => {
                code(value(one).expect("the others are sets"), out);
                rest
            }
        };
    }
}

/// Writes a byte, or a code point, so that it stands for itself.
fn code(value: u32, out: &mut String) {
    match char::from_u32(value).filter(char::is_ascii_alphanumeric) {
        Some(c) => out.push(c),
        None if value <= 0xff => drop(write!(out, "\\x{value:02x}")),
        None => drop(write!(out, "\\x{{{value:x}}}")),
    }
}

/// The byte that an escape gives as a number; none is the byte 0.
fn byte(digits: &str, radix: u32) -> Result<Member, PatternError> {
    match u32::from_str_radix(if digits.is_empty() { "0" } else { digits }, radix) {
        Ok(value @ 0..=0xff) => Ok(Member::Code(value)),
        Ok(_) => Err(PatternError::new("character code point value in \\x{} or \\o{} is too large")),
        Err(_) => Err(PatternError::new("non-hex character in \\x{} (closing brace missing?)")),
    }
}

/// How long the rest of `{n}`, `{n,}` or `{n,m}` is; `None` where the brace stands for itself.
fn counts(rest: &str) -> Result<Option<usize>, PatternError> {
    let Some(end) = rest.find('}') else { return Ok(None) };
    let (least, most) = rest[..end].split_once(',').unwrap_or((&rest[..end], ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match (least.is_empty(), is_number(least) && is_number(most)) {
        (false, true) => Ok(Some(end + 1)),
        // These are characters to PCRE up to 10.42, and a quantifier after that.
        (true, true) if !most.is_empty() => {
            Err(PatternError::new(format!("{{,{most}}} is not supported: write {{0,{most}}}, or \\{{")))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    #[test]
    fn an_expression_means_what_it_means_to_pcre() {
        for (source, matching, other) in [
            // What the crate has besides: operators in classes, ends of words, repeated quantifiers, code points.
            ("^[a&&b]$", "&", "c"),
            ("^[a~~b]+$", "a~b", "c"),
            ("^[a-z&&[b]]$", "&]", "b"),
            (r"^\<a\>$", "<a>", "a"),
            (r"^a\v$", "a\n", "a "),
            (r"^x\b{start}$", "x{start}", "x"),
            // What it does not take.
            ("^[[]$", "[", "a"),
            ("^[^[]$", "a", "["),
            ("^a{x}$", "a{x}", "ax"),
            ("^{a$", "{a", "a"),
            (r"^[]a-]+$", "]-a", "b"),
            (r"^[a-z--9]+$", "-z1", "A"),
            (r"^\Q.a+\E\Q*\E$", ".a+*", "xa+*"),
            (r"^[\Q^]\E]+$", "^]", "a"),
            (r"^a\\Qb$", r"a\Qb", "ab"),
            (r"^\h\H$", "\tx", "x\t"),
            (r"^\x41\x{42}\0103$", "AB\u{8}3", "AB3"),
            (r"^(?'name'a)(?#a comment)+\_$", "aa_", "a"),
            ("(?x) ^ a b # a comment\n [ #] $", "ab#", "a b "),
            // The end is also before a last line feed.
            ("a$", "a\n", "a\n\n"),
            ("a$", "a", "a\nb"),
            (r"a\Z", "a\n", "a\nb"),
            (r"a\z", "a", "a\n"),
            (r"^a\$$", "a$", "a"),
            ("^a[$]$", "a$", "a"),
            ("a(/|$)", "a\n", "ab"),
            ("(?m)a$", "a\nb", "ab"),
            ("(?m:a$)|b$", "a\nc", "b\nc"),
            ("(?m)(?-m)a$", "a\n", "a\nb"),
            // Bytes, but for the properties.
            ("^é?$", "\u{e9}", ""),
            ("^[é]{2}$", "é", "éé"),
            (r"^[\p{Lu}\d]$", "É", "é"),
        ] {
            let pattern = Pattern::new(source, false).unwrap_or_else(|error| panic!("{source}: {error}"));
            assert!(pattern.regex().is_match(matching.as_bytes()), "{source}: {matching:?}");
            assert!(!pattern.regex().is_match(other.as_bytes()), "{source}: {other:?}");
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused_by_name() {
        for (source, problem) in [
            ("a++", "possessive quantifiers are not supported"),
            ("a{2}{3}", "quantifier does not follow a repeatable item"),
            (r"\b+", "quantifier does not follow a repeatable item"),
            ("a{,3}", r"{,3} is not supported: write {0,3}, or \{"),
            (r"a\K", r"\K is not supported"),
            (r"\u0041", r"\u is not supported"),
            ("(?R)", "(?R is not supported"),
            ("(?>a)", "(?> is not supported"),
            ("(?\na)", "(? is not supported"),
            ("(*UTF8)a", "(* is not supported"),
            (r"\x{100}", r"character code point value in \x{} or \o{} is too large"),
            ("[z-a]", "range out of order in character class"),
            (r"[\w-.]", "invalid range in character class"),
            ("[[:nope:]]", "unknown POSIX class name"),
            ("[:alpha:]", "POSIX named classes are supported only within a class"),
            (r"a\", r"\ at end of pattern"),
        ] {
            assert_eq!(translate(source), Err(PatternError::new(problem)), "{source}");
        }
    }
}
