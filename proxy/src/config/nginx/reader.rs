//! Statements one by one, each checked against the table of directives: known, allowed here, with the right
//! number of arguments; `include` is followed on the way.
//!
//! nginx carries out each directive as soon as it has read it, so of several mistakes it names the first in
//! the file, whatever its kind. So does this: whoever builds asks for the next statement, and goes into a
//! block by asking for what is allowed there.

use std::collections::VecDeque;
use std::sync::Arc;

use super::directives::{self, Arguments, Context, Directive, Support};
use super::error::{Error, Place};
use super::files::{Files, shown};
use super::lexer::{Lexeme, Lexer};

/// How deep files may include each other. nginx has no bound but that of open files.
const DEPTH_MAX: usize = 64;

/// How deep blocks may stand in each other, so that reading them takes a bounded stack.
const BLOCKS_MAX: usize = 100;

/// A directive with its arguments.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Its row of the table.
    pub(super) directive: &'static Directive,
    /// What follows its name.
    pub(super) args: Vec<String>,
    /// Where it ends.
    pub(super) place: Place,
}

impl Statement {
    /// The argument at `index`, or nothing where there are not so many.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// The one argument of a directive that is `on` or `off`.
    pub(super) fn flag(&self) -> Result<bool, Error> {
        flag(self.directive, self.arg(0), &self.place)
    }

    /// An error here.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::at(&self.place, message)
    }

    /// An error in nginx's form for what is wrong with a directive as such: `"listen" directive is
    /// duplicate`.
    pub(super) fn fault(&self, what: &str) -> Error {
        self.error(format!("\"{}\" directive {what}", self.directive.name))
    }
}

/// A line of a block that has no directives in it, such as `types` or `map`.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its words; at least one.
    pub(super) words: Vec<String>,
    /// Where it ends.
    pub(super) place: Place,
}

/// A file that is being read.
struct Open {
    name: Arc<str>,
    lexer: Lexer,
    is_parameter: bool,
    /// Blocks that were opened in this file and not closed yet.
    blocks: usize,
    /// Files that an `include` here names and that were not read yet.
    pending: VecDeque<String>,
}

impl Open {
    fn new(name: &str, lexer: Lexer, is_parameter: bool) -> Open {
        Open { name: Arc::from(name), lexer, is_parameter, blocks: 0, pending: VecDeque::new() }
    }
}

/// The open files, and those that were read.
pub(super) struct Reader<'f> {
    files: &'f dyn Files,
    /// The folder of the main file, with its last slash: names of included files are relative to it.
    folder: String,
    open: Vec<Open>,
    /// Each file that was read, once, in the order of reading.
    read: Vec<(String, Vec<u8>)>,
}

impl<'f> Reader<'f> {
    /// A reader without a file yet, for a main file in `folder`.
    pub(super) fn new(files: &'f dyn Files, folder: &str) -> Reader<'f> {
        Reader { files, folder: folder.to_owned(), open: Vec::new(), read: Vec::new() }
    }

    /// Begins with the directives of `-g`.
    pub(super) fn open_parameter(&mut self, text: &str) {
        self.open.push(Open::new("", Lexer::parameter(text), true));
    }

    /// Begins with a file, the main one or an included one.
    pub(super) fn open_file(&mut self, name: &str) -> Result<(), Error> {
        let error = |message: String| match self.open.last() {
            Some(_) => Error::at(&self.place(), message),
            None => Error::whole(message),
        };
        if self.open.len() >= DEPTH_MAX {
            return Err(error(format!(
                "files are included {DEPTH_MAX} deep; does \"{name}\" include itself?"
            )));
        }
        let bytes = self
            .files
            .read(name)
            .map_err(|problem| error(format!("open() \"{name}\" failed ({})", shown(&problem))))?;
        if !self.read.iter().any(|(seen, _)| seen == name) {
            self.read.push((name.to_owned(), bytes.clone()));
        }
        self.open.push(Open::new(name, Lexer::file(bytes), false));
        Ok(())
    }

    /// What was read, for `-T`.
    pub(super) fn into_read(self) -> Vec<(String, Vec<u8>)> {
        self.read
    }

    /// The place of the last byte read.
    pub(super) fn place(&self) -> Place {
        match self.open.last() {
            Some(open) if !open.is_parameter => Place::File(open.name.clone(), open.lexer.line()),
            _ => Place::CommandLine,
        }
    }

    /// The next directive of the block that is open, which allows those of `context`; nothing at the
    /// block's end.
    pub(super) fn next(&mut self, context: Context) -> Result<Option<Statement>, Error> {
        while let Some((mut words, opens, place)) = self.words()? {
            let name = words.remove(0);
            let directive = self.check(&name, &words, opens, context, &place)?;
            if directive.name == "include" {
                self.include(&words[0])?;
                continue;
            }
            if opens {
                self.enter()?;
            }
            return Ok(Some(Statement { directive, args: words, place }));
        }
        Ok(None)
    }

    /// The next line of a block without directives; nothing at its end. `include` works there too.
    pub(super) fn line(&mut self) -> Result<Option<Line>, Error> {
        while let Some((words, opens, place)) = self.words()? {
            if opens {
                return Err(Error::at(&place, "unexpected \"{\""));
            }
            match &words[..] {
                [name, file] if name == "include" => self.include(&file.clone())?,
                _ => return Ok(Some(Line { words, place })),
            }
        }
        Ok(None)
    }

    /// The words up to the next `;` or `{`, from whatever file is open; nothing at the end of the block, or
    /// of the outermost file.
    fn words(&mut self) -> Result<Option<(Vec<String>, bool, Place)>, Error> {
        loop {
            let Some(open) = self.open.last_mut() else { return Ok(None) };
            if let Some(name) = open.pending.pop_front() {
                self.open_file(&name)?;
                continue;
            }
            let lexeme = match open.lexer.read() {
                Ok(lexeme) => lexeme,
                Err(message) => return Err(Error::at(&self.place(), message)),
            };
            match lexeme {
                Lexeme::Statement { words, opens } => {
                    if opens && open.is_parameter {
                        let message = "block directives are not supported in -g option";
                        return Err(Error::at(&Place::CommandLine, message));
                    }
                    return Ok(Some((words, opens, self.place())));
                }
                Lexeme::Close if open.blocks > 0 => {
                    open.blocks -= 1;
                    return Ok(None);
                }
                Lexeme::Close => return Err(Error::at(&self.place(), "unexpected \"}\"")),
                Lexeme::End if open.blocks > 0 => {
                    return Err(Error::at(&self.place(), "unexpected end of file, expecting \"}\""));
                }
                Lexeme::End => {
                    self.open.pop();
                    if self.open.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Notes that a block was opened in the file at hand.
    fn enter(&mut self) -> Result<(), Error> {
        if self.open.iter().map(|open| open.blocks).sum::<usize>() >= BLOCKS_MAX {
            return Err(Error::at(&self.place(), format!("blocks are nested more than {BLOCKS_MAX} deep")));
        }
        if let Some(open) = self.open.last_mut() {
            open.blocks += 1;
        }
        Ok(())
    }

    /// Opens the file or files that an `include` names; the first one is read first.
    fn include(&mut self, name: &str) -> Result<(), Error> {
        let path = match name.starts_with('/') {
            true => name.to_owned(),
            false => format!("{}{name}", self.folder),
        };
        if !path.contains(['*', '?', '[']) {
            return self.open_file(&path);
        }
        let names = self.files.matching(&path).map_err(|problem| {
            Error::at(&self.place(), format!("glob() \"{path}\" failed ({})", shown(&problem)))
        })?;
        if let Some(open) = self.open.last_mut() {
            open.pending.extend(names);
        }
        Ok(())
    }

    /// The row of a directive, if it may stand here with these arguments.
    fn check(
        &self,
        name: &str,
        args: &[String],
        opens: bool,
        context: Context,
        place: &Place,
    ) -> Result<&'static Directive, Error> {
        let error = |message: String| Err(Error::at(place, message));
        let mut rows = directives::named(name).peekable();
        if rows.peek().is_none() {
            return error(match directives::is_of_nginx(name) {
                true => format!("the \"{name}\" directive is not supported by this proxy"),
                false => format!("unknown directive \"{name}\""),
            });
        }
        let Some(row) = rows.find(|row| row.contexts.intersects(context)) else {
            return error(format!("\"{name}\" directive is not allowed here"));
        };
        match (row.is_block, opens) {
            (false, true) => return error(format!("directive \"{name}\" is not terminated by \";\"")),
            (true, false) => return error(format!("directive \"{name}\" has no opening \"{{\"")),
            _ => {}
        }
        if !row.arguments.allow(args.len()) {
            return error(format!("invalid number of arguments in \"{name}\" directive"));
        }
        match row.support {
            Support::OnlyOff if !args[0].eq_ignore_ascii_case("off") => {
                error(format!("the \"{name}\" directive is not supported by this proxy"))
            }
            Support::Ignored(_) if row.arguments == Arguments::Flag => {
                flag(row, &args[0], place).map(|_| row)
            }
            _ => Ok(row),
        }
    }
}

/// `on` or `off`, in either case.
fn flag(directive: &Directive, word: &str, place: &Place) -> Result<bool, Error> {
    match word {
        word if word.eq_ignore_ascii_case("on") => Ok(true),
        word if word.eq_ignore_ascii_case("off") => Ok(false),
        word => {
            let name = directive.name;
            let message =
                format!("invalid value \"{word}\" in \"{name}\" directive, it must be \"on\" or \"off\"");
            Err(Error::at(place, message))
        }
    }
}
