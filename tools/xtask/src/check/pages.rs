//! What the Markdown pages refer to: links to files and headings, files that they name, and the structure of the book that
//! docs/ is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result};
use regex_lite::Regex;

use crate::paths::Workspace;

/// History names files as they were.
const NAMES_OLD_FILES: [&str; 1] = ["CHANGELOG.md"];
/// Extensions that make a word in code a file's name.
const FILES: [&str; 6] = [".rs", ".toml", ".md", ".ld", ".svg", ".lock"];
/// The book's table of contents, and the folder that it lists.
const SUMMARY: &str = "docs/SUMMARY.md";
const BOOK: &str = "docs/";

/// The pages, and all other files of the working tree.
#[derive(Default)]
pub struct Tree {
    /// Text by path below the top folder.
    pages: BTreeMap<String, String>,
    /// Files and, with a slash at the end, folders.
    paths: BTreeSet<String>,
}

impl Tree {
    /// Reads the working tree. Folders of builds and hidden ones are left out.
    pub fn read(ws: &Workspace) -> Result<Tree> {
        let mut tree = Tree::default();
        tree.collect(ws.root(), "")?;
        Ok(tree)
    }

    fn collect(&mut self, dir: &Path, prefix: &str) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let relative = format!("{prefix}{name}");
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    self.collect(&path, &format!("{relative}/"))?;
                    self.paths.insert(format!("{relative}/"));
                }
                continue;
            }
            if name.ends_with(".md") {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {relative}"))?;
                self.pages.insert(relative.clone(), text);
            }
            self.paths.insert(relative);
        }
        Ok(())
    }

    /// Whether a file or folder has this path, or one that ends with it.
    fn has(&self, path: &str) -> bool {
        self.paths.contains(path) || self.paths.iter().any(|p| p.ends_with(&format!("/{path}")))
    }
}

/// Every link leads somewhere, every file that a page names exists, and the book has all pages of its folder.
pub fn sound(tree: &Tree) -> Vec<String> {
    let mut wrong: Vec<String> = tree.pages.iter().flat_map(|(path, text)| links(tree, path, text)).collect();
    let named = tree.pages.iter().filter(|(path, _)| !NAMES_OLD_FILES.contains(&path.as_str()));
    wrong.extend(named.flat_map(|(path, text)| names(tree, path, text)));
    wrong.extend(book(tree));
    wrong
}

/// Lines outside of fenced and indented code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        let code = fenced || fence || line.starts_with("    ");
        (!code).then_some((index + 1, line))
    })
}

/// What lies between backticks in a line.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A line without what lies between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// Links of a page that lead nowhere.
fn links(tree: &Tree, page: &str, text: &str) -> Vec<String> {
    let Ok(link) = Regex::new(r"\]\(([^)\s]+)\)") else {
        return vec!["the pattern for links is wrong".into()];
    };
    let mut wrong = Vec::new();
    for (number, line) in prose(text) {
        for found in link.captures_iter(&without_code(line)) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { page.to_string() } else { resolved(page, path) };
            if !tree.paths.contains(&file)
                && !tree.paths.contains(&format!("{}/", file.trim_end_matches('/')))
            {
                wrong.push(format!("{page}:{number}: there is no {target}"));
            } else if !anchor.is_empty()
                && tree.pages.get(&file).is_some_and(|text| !anchors(text).contains(anchor))
            {
                wrong.push(format!("{page}:{number}: {file} has no heading for #{anchor}"));
            }
        }
    }
    wrong
}

/// A path that is relative to a page, as one below the top folder.
fn resolved(page: &str, path: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let joined: PathBuf = Path::new(page).parent().unwrap_or(Path::new("")).join(path);
    for part in joined.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

/// The names under which a page's headings can be linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let Some(heading) = line.strip_prefix('#').map(|l| l.trim_start_matches('#')) else { continue };
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String =
            kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|n| format!("{slug}-{n}"));
        let free = std::iter::once(slug.clone()).chain(again).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// Files and folders that a page names and that do not exist. What a page itself has made, when it is gone through
/// (`test/pages.rs`), its comments name.
fn names(tree: &Tree, page: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let made = |path: &str| text.contains(&format!(": {path} -->"));
    for (number, line) in prose(text) {
        for word in code(line).filter(|word| is_path(word)) {
            let path = word.trim_start_matches("./");
            if !tree.has(path) && !tree.has(&resolved(page, path)) && !made(path) {
                wrong.push(format!("{page}:{number}: there is no file {word}"));
            }
        }
    }
    wrong
}

/// Whether a word in code is the path of a file or folder of the working tree, and no pattern for one.
fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    // `NAME.toml`, `ARCH/`: placeholders.
    let placeholder = |part: &str| {
        let stem = part.split('.').next().unwrap_or_default();
        stem.len() > 1 && part != "README.md" && stem.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let named = FILES.iter().any(|e| word.strip_suffix(e).is_some_and(|stem| !stem.is_empty()));
    let folder = word.ends_with('/') && word.len() > 1;
    (named || folder)
        && word.chars().all(plain)
        && !word.starts_with(['/', '.'])
        && !word.starts_with("target/")
        && !word.split('/').any(|part| placeholder(part) && !ROOT_PAGES.contains(&part))
}

/// Pages of the top folder whose names are in capitals.
const ROOT_PAGES: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "CAVEATS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "SUMMARY.md",
];

/// The book lists every page of its folder once, and `docs/README.md`, which is where readers of the repository start,
/// does too.
fn book(tree: &Tree) -> Vec<String> {
    let listed = |page: &str| -> Vec<String> {
        let Ok(link) = Regex::new(r"\]\(([^)\s#:]+)\)") else { return Vec::new() };
        let text = tree.pages.get(page).map_or("", String::as_str);
        link.captures_iter(text).map(|found| resolved(page, &found[1])).collect()
    };
    let mut wrong = Vec::new();
    for (list, readme) in [(SUMMARY, true), ("docs/README.md", false)] {
        let listed = listed(list);
        let pages = tree.pages.keys().filter(|p| p.starts_with(BOOK) && *p != SUMMARY);
        for page in pages.filter(|p| readme || *p != "docs/README.md") {
            match listed.iter().filter(|l| *l == page).count() {
                1 => {}
                0 => wrong.push(format!("{list} does not list {page}")),
                n => wrong.push(format!("{list} lists {page} {n} times")),
            }
        }
        if list == SUMMARY {
            let outside = listed.iter().filter(|l| !l.starts_with(BOOK));
            wrong.extend(outside.map(|l| format!("{SUMMARY} lists {l}, which is not in {BOOK}")));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(pages: &[(&str, &str)], files: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in pages {
            tree.pages.insert(path.to_string(), text.to_string());
            tree.paths.insert(path.to_string());
        }
        tree.paths.extend(files.iter().map(|f| f.to_string()));
        tree
    }

    #[test]
    fn links_must_lead_to_files_and_headings() {
        let text = "# A b, `c`\n## Twice\n## Twice\n[x](docs/y.md#in-y) [x](#a-b-c) [x](#twice-1) [x](https://a/b)\n\
            [x](docs/z.md) [x](#twice-2) `[x](none.md)`\n```\n[x](none.md)\n```\n[x](docs/y.md#no) [x](docs)\n";
        let tree = tree(&[("P.md", text), ("docs/y.md", "# In Y\n[up](../P.md)\n")], &["docs/"]);
        let wrong: Vec<String> =
            tree.pages.iter().flat_map(|(path, text)| links(&tree, path, text)).collect();
        assert_eq!(
            wrong,
            [
                "P.md:5: there is no docs/z.md",
                "P.md:5: P.md has no heading for #twice-2",
                "P.md:9: docs/y.md has no heading for #no",
            ]
        );
    }

    #[test]
    fn named_files_must_exist() {
        let text = "`src/a.rs` `a.rs` `core/src/a.rs` `kernel/core/` `NAME.toml` `std::fs` `a/b` `/dev/x.rs` `{a,b}.rs` \
            `target/x.md` `.rs`\n`b.rs` `src/c/`\n";
        let tree = tree(
            &[("kernel/core/README.md", text)],
            &["kernel/core/src/a.rs", "kernel/core/", "kernel/core/src/"],
        );
        assert_eq!(
            names(&tree, "kernel/core/README.md", text),
            [
                "kernel/core/README.md:2: there is no file b.rs",
                "kernel/core/README.md:2: there is no file src/c/"
            ]
        );
    }

    #[test]
    fn the_book_has_every_page_once() {
        let pages = [
            ("docs/README.md", "[a](a.md) [b](b.md)"),
            ("docs/SUMMARY.md", "[r](README.md)\n- [a](a.md)\n- [a](a.md)\n- [o](../o.md)"),
            ("docs/a.md", ""),
            ("docs/b.md", ""),
        ];
        assert_eq!(
            book(&tree(&pages, &[])),
            [
                "docs/SUMMARY.md lists docs/a.md 2 times",
                "docs/SUMMARY.md does not list docs/b.md",
                "docs/SUMMARY.md lists o.md, which is not in docs/",
            ]
        );
    }
}
