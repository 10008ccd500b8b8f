//! Rust source as far as the checks need it: what is code, what is comment, what is test.

/// A source file taken apart.
#[derive(Clone)]
pub struct Source {
    /// The text as it is.
    text: String,
    /// The text with comments and the contents of strings and characters blanked out, line for line as long.
    code: String,
}

/// An `unsafe { ... }` block or an `unsafe impl`.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsafe {
    /// Line of the keyword, from 1.
    pub line: usize,
    /// Lines from the keyword to the closing brace; 0 for an `unsafe impl`.
    pub lines: usize,
    /// Whether a `SAFETY:` comment stands above.
    pub explained: bool,
}

impl Source {
    /// Takes a file's text apart.
    pub fn new(text: &str) -> Source {
        Source { text: text.to_string(), code: blank(text) }
    }

    /// Lines in all.
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Lines with code on them, tests left out.
    pub fn lines_of_code(&self) -> usize {
        without_tests(&self.code).lines().filter(|l| !l.trim().is_empty()).count()
    }

    /// Lines with a loop on them, or with an iterator's method that is one; tests left out.
    pub fn loops(&self) -> usize {
        const METHODS: [&str; 9] = [
            ".for_each(",
            ".any(",
            ".all(",
            ".position(",
            ".rposition(",
            ".find(",
            ".fold(",
            ".sum(",
            "successors(",
        ];
        let is_loop = |line: &&str| {
            let line = line.trim();
            line.starts_with("while ")
                || line.contains(" while ")
                || line.ends_with("loop {")
                || line.starts_with("for ") && line.contains(" in ")
                || METHODS.iter().any(|m| line.contains(m))
        };
        without_tests(&self.code).lines().filter(is_loop).count()
    }

    /// Lines, from 1, in which a phrase of code stands, its words separated by any space.
    pub fn lines_with(&self, phrase: &str) -> Vec<usize> {
        let words: Vec<&str> = phrase.split(' ').collect();
        let tokens = words_of(&self.code);
        let at = |n: usize| words.iter().zip(&tokens[n..]).all(|(w, t)| *w == t.text);
        let starts = (0..(tokens.len() + 1).saturating_sub(words.len())).filter(|&n| at(n));
        starts.map(|n| line_of(&self.code, tokens[n].at)).collect()
    }

    /// The unsafe blocks and impls, tests left out.
    pub fn unsafes(&self) -> Vec<Unsafe> {
        let code = without_tests(&self.code);
        let mut found = Vec::new();
        for token in words_of(&code).iter().filter(|t| t.text == "unsafe") {
            let after = &code[token.at + "unsafe".len()..];
            let next = after.trim_start();
            let lines = if next.starts_with('{') {
                1 + braced(next).matches('\n').count()
            } else if next.starts_with("impl") {
                0
            } else {
                continue;
            };
            let line = line_of(&code, token.at);
            found.push(Unsafe { line, lines, explained: self.explained(line) });
        }
        found
    }

    /// Public functions that are safe to call and have unsafe code in them, by name; tests left out.
    pub fn safe_over_unsafe(&self) -> Vec<String> {
        let code = without_tests(&self.code);
        let words = words_of(&code);
        let mut found = Vec::new();
        for (n, word) in words.iter().enumerate().filter(|(_, word)| word.text == "pub") {
            let visible = code[word.at + "pub".len()..].starts_with(char::is_whitespace);
            let rest: Vec<&str> = words[n + 1..].iter().take(3).map(|w| w.text).collect();
            let name = match rest[..] {
                ["fn", name, ..] | ["const", "fn", name] => name,
                _ => continue,
            };
            let body = &code[word.at..];
            let begins = body.find('{').filter(|&brace| body[..brace].find(';').is_none());
            let is_unsafe = |w: &Word<'_>| w.text == "unsafe";
            if visible && begins.is_some_and(|brace| words_of(braced(&body[brace..])).iter().any(is_unsafe)) {
                found.push(name.to_string());
            }
        }
        found
    }

    /// The paths into the crate that the code names, with `::` as `/` and the line on which each begins; `module` is the one
    /// that the file is, from which `super` and `self` count. Tests are left out.
    pub fn paths_in_crate(&self, module: &str) -> Vec<(usize, String)> {
        let code = without_tests(&self.code);
        let mut found = Vec::new();
        for word in words_of(&code) {
            let starts = !code[..word.at].trim_end().ends_with("::");
            let after = code[word.at + word.text.len()..].trim_start();
            if !starts || !after.starts_with("::") {
                continue;
            }
            let base = match word.text {
                "crate" => String::new(),
                "self" => module.to_string(),
                "super" => parent(module),
                _ => continue,
            };
            let mut paths = Vec::new();
            expand(&base, &after[2..], &mut paths);
            let line = line_of(&code, word.at);
            found.extend(paths.into_iter().filter(|path| !path.is_empty()).map(|path| (line, path)));
        }
        found
    }

    /// Whether a `SAFETY:` comment stands above the statement that holds this line.
    fn explained(&self, line: usize) -> bool {
        let texts: Vec<&str> = self.text.lines().collect();
        let codes: Vec<&str> = self.code.lines().collect();
        for n in (0..line).rev() {
            if texts[n].contains("SAFETY:") && !codes[n].contains("SAFETY:") {
                return true;
            }
            let code = codes[n].trim();
            let ends_statement = code.ends_with([';', '{', '}', ',']);
            if n + 1 != line && (ends_statement || texts[n].trim().is_empty()) {
                return false;
            }
        }
        false
    }
}

/// The module around one.
fn parent(module: &str) -> String {
    module.rsplit_once('/').map_or(String::new(), |(parent, _)| parent.to_string())
}

/// Adds the paths that a tree of uses (or one path), behind its first `::`, stands for.
fn expand(base: &str, tree: &str, out: &mut Vec<String>) {
    let tree = tree.trim_start();
    if tree.starts_with('{') {
        let inner = braced(tree);
        let mut depth = 0;
        let items = inner[1..].trim_end_matches('}').split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0 && c == ','
        });
        items.filter(|item| !item.trim().is_empty()).for_each(|item| expand(base, item, out));
        return;
    }
    let name = tree.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tree.len());
    let (name, rest) = tree.split_at(name);
    let path = match name {
        "self" | "" => base.to_string(),
        "super" => parent(base),
        _ if base.is_empty() => name.to_string(),
        _ => format!("{base}/{name}"),
    };
    match rest.trim_start().strip_prefix("::") {
        Some(rest) => expand(&path, rest, out),
        None => out.push(path),
    }
}

/// A word of code and its place.
struct Word<'a> {
    text: &'a str,
    at: usize,
}

fn words_of(code: &str) -> Vec<Word<'_>> {
    // With its quote, a lifetime is another word than the keyword of that name.
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'';
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in code.char_indices().chain([(code.len(), ' ')]) {
        match (is_word(c), start) {
            (true, None) => start = Some(at),
            (false, Some(begun)) => {
                words.push(Word { text: &code[begun..at], at: begun });
                start = None;
            }
            _ => {}
        }
    }
    words
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}

/// The text from its first brace to the matching one.
fn braced(code: &str) -> &str {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return &code[..=at],
            '}' => depth -= 1,
            _ => {}
        }
    }
    code
}

/// Blanks every item out that is compiled only for tests.
fn without_tests(code: &str) -> String {
    let mut out = code.to_string();
    for mark in ["#[cfg(test)]", "#[cfg(all(test"] {
        while let Some(start) = out.find(mark) {
            let rest = &out[start..];
            let end = match (rest.find('{'), rest.find(';')) {
                (Some(brace), semicolon) if semicolon.is_none_or(|s| brace < s) => {
                    brace + braced(&rest[brace..]).len()
                }
                (_, Some(semicolon)) => semicolon + 1,
                _ => rest.len(),
            };
            let blanks: String = rest[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            out.replace_range(start..start + end, &blanks);
        }
    }
    out
}

/// Blanks comments and the contents of strings and characters out.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let hide = |out: &mut String, c: char| out.push(if c == '\n' { '\n' } else { ' ' });
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => until(&chars, at, |c| c == '\n'),
            '/' if chars.get(at + 1) == Some(&'*') => end_of_comment(&chars, at),
            '"' => end_of_string(&chars, at),
            'r' if !is_word(&chars, at) => end_of_raw_string(&chars, at).unwrap_or(at),
            '\'' => end_of_char(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        }
        while at < end {
            hide(&mut out, chars[at]);
            at += 1;
        }
    }
    out
}

/// Whether the character before belongs to the same word; the `b` and `c` of string prefixes do not count.
fn is_word(chars: &[char], at: usize) -> bool {
    let word = |n: usize| chars[n].is_alphanumeric() || chars[n] == '_';
    at > 0 && word(at - 1) && !(matches!(chars[at - 1], 'b' | 'c') && (at < 2 || !word(at - 2)))
}

fn until(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&n| stop(chars[n])).unwrap_or(chars.len())
}

fn end_of_comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => {
                depth += 1;
                at += 2;
            }
            ('*', '/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_raw_string(chars: &[char], from: usize) -> Option<usize> {
    let open = until(chars, from + 1, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - from - 1;
    let closes = |n: usize| chars[n] == '"' && (1..=hashes).all(|h| chars.get(n + h) == Some(&'#'));
    Some((open + 1..chars.len()).find(|&n| closes(n)).map_or(chars.len(), |n| n + 1 + hashes))
}

/// The end of a character literal; a lifetime is none.
fn end_of_char(chars: &[char], from: usize) -> Option<usize> {
    match chars.get(from + 1)? {
        '\\' => Some(until(chars, from + 3, |c| c == '\'') + 1),
        _ if chars.get(from + 2) == Some(&'\'') => Some(from + 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_not_code() {
        let text = r##"let a = "unsafe { // no"; /* unsafe /* nested */ { */ let b = 'x'; // unsafe {
let c = r#"unsafe " {"#; let d: &'static str = b"\"unsafe"; let e = '\''; let f = br"unsafe"; unsafe fn g() {}"##;
        let code = blank(text);
        assert_eq!(code.matches("unsafe").count(), 1, "{code}");
        assert_eq!(code.chars().count(), text.chars().count());
        assert!(code.contains("&'static str") && code.contains("let e"));
    }

    #[test]
    fn tests_comments_and_empty_lines_are_not_counted() {
        let text = "//! Doc.\n\nfn a() {\n    b(); // why\n}\n#[cfg(test)]\nmod tests {\n    fn c() { }\n}\n\
                    #[cfg(test)]\nmod more;\nfn d() {}\n";
        assert_eq!(Source::new(text).lines_of_code(), 4);
    }

    #[test]
    fn phrases_are_found_as_whole_words() {
        let source = Source::new(
            "#![forbid(unsafe_code)]\nstatic MUT: u8 = 0;\nstatic  mut A: u8 = 0;\n// static mut\n",
        );
        assert_eq!(source.lines_with("unsafe"), [] as [usize; 0]);
        assert_eq!(source.lines_with("static mut"), [3]);
    }

    #[test]
    fn unsafe_blocks_are_measured() {
        let text = "fn a() {\n    // SAFETY: one.\n    unsafe { b() }\n    let c = d(\n        // SAFETY: two\n        // lines.\n        \
                    unsafe {\n            e()\n        },\n    );\n    unsafe { f() };\n}\nunsafe impl Sync for G {}\nunsafe fn h() {}\n";
        let found = Source::new(text).unsafes();
        let short: Vec<_> = found.iter().map(|u| (u.line, u.lines, u.explained)).collect();
        assert_eq!(short, [(3, 1, true), (7, 3, true), (11, 1, false), (13, 0, false)]);
    }

    #[test]
    fn safe_functions_over_unsafe_code_are_found() {
        let text = "pub fn a(x: u8) -> u8 {\n    unsafe { b() }\n}\npub(crate) fn c() { unsafe { b() } }\n\
                    pub const fn d() { let e = || { unsafe { b() } }; }\npub unsafe fn f() { unsafe { b() } }\n\
                    pub fn g();\nfn h() { unsafe { b() } }\npub fn i() {}\n#[cfg(test)]\nmod t { pub fn j() { unsafe {} } }\n";
        assert_eq!(Source::new(text).safe_over_unsafe(), ["a", "d"]);
    }

    #[test]
    fn a_safety_comment_may_stand_above_the_whole_statement() {
        let source = Source::new("fn a() {\n    // SAFETY: fine.\n    let b =\n        unsafe { c() };\n}\n");
        assert!(source.unsafes()[0].explained);
        let apart = Source::new("fn a() {\n    // SAFETY: fine.\n    b();\n    unsafe { c() };\n}\n");
        assert!(!apart.unsafes()[0].explained);
    }
}
