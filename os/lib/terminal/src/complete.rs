//! Completing a word.

use alloc::{string::String, vec::Vec};

/// What a word can become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    /// What is certain to come next.
    pub insert: String,
    /// The words that it can become, if that is more than one and nothing is certain.
    pub choices: Vec<String>,
}

/// Completes a word to one of several, as far as they agree. A word that is complete is followed by a space.
pub fn complete<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Completion {
    let mut choices: Vec<&str> = known.into_iter().filter(|k| k.starts_with(word)).collect();
    choices.sort_unstable();
    choices.dedup();
    let Some((first, others)) = choices.split_first() else {
        return Completion { insert: String::new(), choices: Vec::new() };
    };
    let mut common = *first;
    for other in others {
        let same = common.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
        common = &common[..same.map_or(common.len().min(other.len()), |((at, _), _)| at)];
    }
    let mut insert = String::from(&common[word.len()..]);
    if others.is_empty() {
        insert.push(' ');
    }
    let choices =
        if insert.is_empty() { choices.into_iter().map(String::from).collect() } else { Vec::new() };
    Completion { insert, choices }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_completed_as_far_as_is_certain() {
        let known = ["ps", "programs", "print", "pür", "pün"];
        let of = |word| complete(word, known);
        assert_eq!(of("ps").insert, " ");
        assert_eq!(of("prog").insert, "rams ");
        assert_eq!(
            of("p"),
            Completion {
                insert: String::new(),
                choices: ["print", "programs", "ps", "pün", "pür"].map(String::from).into()
            }
        );
        assert_eq!(of("pü").choices, ["pün", "pür"]);
        assert_eq!(of("x"), Completion { insert: String::new(), choices: Vec::new() });
        assert_eq!(complete("", ["abc", "abd"]).insert, "ab");
    }
}
