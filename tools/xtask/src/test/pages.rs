//! Pages of the book that lead through something: what they say is done, in a copy of the tree, and compared.
//!
//! These count among the scenarios, under names that start with `page::`. A comment in front of a block of a page says what
//! the block is:
//!
//! | comment | the block |
//! | --- | --- |
//! | `<!-- run -->` | commands, each of which must succeed; `<!-- run: FOLDER -->` in another folder than the copy |
//! | `<!-- prints -->` | what the last of them prints, among other things; `...` stands for any text or any lines |
//! | `<!-- made: FILE -->` | what a file says |
//! | `<!-- part: FILE -->` | a part of what a file says |
//! | `<!-- write: FILE -->` | what is written into a file |
//! | `<!-- change: FILE -->` | a change of a file, as `diff` shows it |

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::{Tally, scenarios::lines_match};
use crate::{paths::Workspace, toolchain, ui};

/// The pages, without their `.md`, in the order in which they are gone through: all in one copy of the tree.
const PAGES: [&str; 6] = ["new-program", "new-service", "new-driver", "new-c", "std", "repository"];
/// Where the copy is, as the pages name it, and what they put beside it.
const FOLDER: &str = "target/pages";
const COPY: &str = "pecan";
/// How the names of these tests start.
const PREFIX: &str = "page::";
/// What is not copied.
const NOT_COPIED: [&str; 2] = ["target", ".git"];

/// What a block of a page is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    /// In this folder, from the top folder of the copy.
    Run(String),
    Prints,
    Made(String),
    Part(String),
    Write(String),
    Change(String),
}

/// A block of a page, with the line that it begins in.
#[derive(PartialEq, Eq, Debug)]
struct Block {
    line: usize,
    kind: Kind,
    text: String,
}

/// Goes through every page and counts.
pub fn run(ws: &Workspace, filter: Option<&str>) -> Result<Tally> {
    let mut tally = Tally::default();
    let wanted = |page: &&&str| filter.is_none_or(|f| format!("{PREFIX}{page}").contains(f));
    let pages: Vec<_> = PAGES.iter().filter(wanted).collect();
    if pages.is_empty() {
        return Ok(tally);
    }
    let folder = ws.join(FOLDER);
    let copy = folder.join(COPY);
    synchronise(ws.root(), &copy)?;
    remove_all_but(&folder, &BTreeSet::from([COPY.into()]))?;
    for page in pages {
        let path = format!("docs/{page}.md");
        let text = fs::read_to_string(ws.join(&path)).with_context(|| format!("cannot read {path}"))?;
        match blocks(&text).and_then(|blocks| follow(&copy, &blocks)) {
            Ok(()) => {
                println!("test {PREFIX}{page} ... ok");
                tally.passed += 1;
            }
            Err(error) => {
                println!("test {PREFIX}{page} ... FAILED\n{path}: {error:#}");
                tally.fail(format!("{PREFIX}{page}: {error}"));
            }
        }
    }
    Ok(tally)
}

/// The blocks of a page that something is to be done with.
fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut kind = None;
    let mut lines = page.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        if let Some(said) = line.strip_prefix("<!-- ").and_then(|l| l.strip_suffix(" -->")) {
            ensure!(kind.is_none(), "line {}: no block follows the comment before this one", n + 1);
            kind = Some(kind_of(said).with_context(|| format!("line {}: this comment says nothing", n + 1))?);
        } else if line.starts_with("```") {
            let mut text = String::new();
            for (_, line) in lines.by_ref().take_while(|(_, l)| *l != "```") {
                text.push_str(line);
                text.push('\n');
            }
            blocks.extend(kind.take().map(|kind| Block { line: n + 1, kind, text }));
        } else if !line.trim().is_empty() {
            ensure!(kind.is_none(), "line {}: this is between a comment and its block", n + 1);
        }
    }
    ensure!(!blocks.is_empty(), "the page has no blocks to do something with");
    Ok(blocks)
}

fn kind_of(said: &str) -> Option<Kind> {
    let file = |file: &str| file.trim().to_string();
    Some(match said.split_once(':') {
        None if said == "run" => Kind::Run(String::new()),
        None if said == "prints" => Kind::Prints,
        Some(("run", folder)) => Kind::Run(file(folder)),
        Some(("made", path)) => Kind::Made(file(path)),
        Some(("part", path)) => Kind::Part(file(path)),
        Some(("write", path)) => Kind::Write(file(path)),
        Some(("change", path)) => Kind::Change(file(path)),
        _ => return None,
    })
}

/// Does what the blocks of a page say, in a tree.
fn follow(tree: &Path, blocks: &[Block]) -> Result<()> {
    let mut printed = String::new();
    for block in blocks {
        let read =
            |path: &str| fs::read_to_string(tree.join(path)).with_context(|| format!("cannot read {path}"));
        let done = match &block.kind {
            Kind::Run(folder) => block.text.lines().try_for_each(|line| {
                printed = call(tree, &tree.join(folder), line)?;
                Ok(())
            }),
            Kind::Prints => prints(&block.text, &printed),
            Kind::Made(path) => read(path).and_then(|text| {
                ensure!(text == block.text, "{path} says something else:\n{text}");
                Ok(())
            }),
            Kind::Part(path) => read(path).and_then(|text| {
                ensure!(text.contains(&block.text), "{path} does not say this, but:\n{text}");
                Ok(())
            }),
            Kind::Write(path) => {
                fs::write(tree.join(path), &block.text).with_context(|| format!("cannot write {path}"))
            }
            Kind::Change(path) => read(path).and_then(|text| {
                fs::write(tree.join(path), changed(&text, &block.text)?)
                    .with_context(|| format!("cannot write {path}"))
            }),
        };
        done.with_context(|| format!("line {}", block.line))?;
    }
    Ok(())
}

/// Carries out a command of a page in a folder; returns what it prints. `cargo xtask` is this program, which works on the tree.
fn call(tree: &Path, folder: &Path, line: &str) -> Result<String> {
    let words = words(line);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut command = match words.as_slice() {
        ["cargo", "xtask", args @ ..] => {
            let mut xtask = Command::new(std::env::current_exe()?);
            xtask.args(args).env("CARGO_MANIFEST_DIR", tree.join("tools/xtask"));
            xtask
        }
        ["cargo", "check"] => {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            toolchain::clean(&mut cargo);
            cargo.arg("check");
            cargo
        }
        ["git", "init", folder] => {
            let mut git = Command::new("git");
            git.args(["init", "--quiet", folder]);
            git
        }
        _ => bail!("`{line}` is no command that pages give"),
    };
    if ui::verbose() {
        eprintln!("$ {line}");
    }
    let out = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "`{line}` failed ({}):\n{text}", out.status);
    Ok(text.replace('\r', ""))
}

/// The words of a command; what is between quotes is one of them.
fn words(line: &str) -> Vec<String> {
    let comment = line.find(" #").unwrap_or(line.len());
    let mut words = Vec::new();
    for (n, part) in line[..comment].split('"').enumerate() {
        match n % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_string)),
            _ => words.push(part.to_string()),
        }
    }
    words
}

/// Whether a command has printed something, among other things.
fn prints(expected: &str, printed: &str) -> Result<()> {
    let lines: Vec<_> = std::iter::once("...").chain(expected.lines()).chain(["..."]).collect();
    let printed: Vec<_> = printed.lines().map(str::trim_end).collect();
    ensure!(lines_match(&lines, &printed), "this was not printed, but:\n{}", printed.join("\n"));
    Ok(())
}

/// A text with a change, as `diff` shows one: lines that stay, go and come.
fn changed(text: &str, change: &str) -> Result<String> {
    let side = |without: char| -> String {
        let lines = change.lines().filter(|line| !line.starts_with(without));
        lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect()
    };
    let (old, new) = (side('+'), side('-'));
    ensure!(
        text.matches(&old).count() == 1,
        "there is not one place to change, but {}",
        text.matches(&old).count()
    );
    Ok(text.replace(&old, &new))
}

/// Makes the files of one folder those of another, but for what is built. What is the same stays as it is, so that it is
/// not built again.
fn synchronise(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut wanted = entries(from)?;
    wanted.retain(|name| !NOT_COPIED.iter().any(|n| name == Path::new(n)));
    let kept = NOT_COPIED.iter().map(PathBuf::from).chain(wanted.iter().cloned());
    remove_all_but(to, &kept.collect())?;
    for name in wanted {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            synchronise(&from, &to)?;
        } else if fs::read(&from).ok() != fs::read(&to).ok() {
            fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(())
}

/// The names of what is in a folder.
fn entries(dir: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    entries.map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect()
}

/// Removes what is in a folder, but for these.
fn remove_all_but(dir: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for name in entries(dir)?.difference(kept) {
        let path = dir.join(name);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
            .with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_what_the_comments_before_them_say() {
        let page = "# T\n\n<!-- run -->\n```sh\ncargo xtask new a\n```\n\nText.\n\n```\nnot looked at\n```\n<!-- made: a/b -->\n\n```rust\nx\n```\n";
        let block = |line, kind, text: &str| Block { line, kind, text: text.into() };
        let expected = [
            block(4, Kind::Run(String::new()), "cargo xtask new a\n"),
            block(15, Kind::Made("a/b".into()), "x\n"),
        ];
        assert_eq!(blocks(page).unwrap(), expected);
        for wrong in ["nothing", "<!-- what -->\n```\n```\n", "<!-- run -->\ntext\n```\n```\n"] {
            assert!(blocks(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn changes_are_made_in_one_place() {
        let changed_to = changed("a\nb\nc\n", " a\n-b\n+B\n+D\n").unwrap();
        assert_eq!(changed_to, "a\nB\nD\nc\n");
        assert!(changed("a\na\n", "-a\n+b\n").is_err() && changed("c\n", "-a\n+b\n").is_err());
    }

    #[test]
    fn quotes_make_one_word() {
        let expected = ["cargo", "xtask", "run", "--exec", "run a b; exit"];
        assert_eq!(words("cargo xtask run --exec \"run a b; exit\"  # and so on"), expected);
    }

    #[test]
    fn what_is_printed_may_stand_among_other_things() {
        prints("a\nb...\n", "x\na\nbc \ny\n").unwrap();
        assert!(prints("a\nb\n", "a\nx\nb\n").is_err());
    }
}
