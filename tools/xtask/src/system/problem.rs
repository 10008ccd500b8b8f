//! Mistakes in a description, and how they are shown: where, and what to write instead.
//!
//! `annotate-snippets` draws them: it is what draws the Rust compiler's own, takes byte ranges as `toml` gives them, and
//! needs two small crates, one of which clap needs, too.

use std::{ops::Range, path::PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A file that was read.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Its path as it is shown.
    pub shown: String,
    /// What it says.
    pub text: &'static str,
}

/// A part of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which of the files.
    pub file: usize,
    /// Which of its bytes.
    pub span: Range<usize>,
}

/// A mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    title: String,
    /// Where it is, with what is to be said there. The first one is the mistake itself.
    places: Vec<(Place, String)>,
    help: Option<String>,
}

impl Problem {
    /// A mistake; `label` says what is wrong at the place.
    pub fn new(title: impl Into<String>, place: Place, label: impl Into<String>) -> Self {
        Self { title: title.into(), places: vec![(place, label.into())], help: None }
    }

    /// Another place that has to do with it.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.places.push((place, label.into()));
        self
    }

    /// What to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The mistake as it is shown.
    fn show(&self, files: &[File], renderer: &Renderer) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(&self.title));
        // All that is in one file is one picture; the file with the mistake comes first.
        let mut shown = Vec::new();
        for (place, _) in &self.places {
            if shown.contains(&place.file) {
                continue;
            }
            shown.push(place.file);
            let Some(file) = files.get(place.file) else { continue };
            let annotations = self.places.iter().enumerate().filter(|(_, (p, _))| p.file == place.file);
            let annotations = annotations.map(|(n, (p, label))| {
                let kind = if n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                kind.span(p.span.clone()).label(label)
            });
            group = group.element(Snippet::source(file.text).path(&file.shown).annotations(annotations));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

/// All mistakes, as they are shown.
pub fn show(problems: &[Problem], files: &[File], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let shown: Vec<_> = problems.iter().map(|p| p.show(files, &renderer)).collect();
    shown.join("\n\n")
}

/// What somebody may have meant by a word.
pub fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = known.into_iter().map(|k| (strsim::damerau_levenshtein(word, k), k));
    let (distance, best) = close.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + word.chars().count() / 4).then_some(best)
}

/// Names as a message lists them.
pub fn list<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// What to write instead of a name that does not exist: the one that was meant, or all there are.
pub fn instead<'a>(word: &str, what: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match similar(word, known.clone()) {
        Some(meant) => format!("write `{meant}`"),
        None => format!("{what}: {}", list(known)),
    }
}
