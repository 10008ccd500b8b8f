//! Licence expressions (SPDX), as far as dependencies use them.

/// Whether one may choose, among what the expression offers, licences that are all allowed.
pub fn acceptable(expression: &str, allowed: &[String]) -> bool {
    // Old manifests write `A/B` for `A OR B`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { tokens: &tokens, allowed };
    let accepted = parser.alternatives();
    parser.tokens.is_empty() && accepted == Some(true)
}

struct Parser<'a> {
    tokens: &'a [&'a str],
    allowed: &'a [String],
}

impl Parser<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        let is = self.tokens.first() == Some(&word);
        if is {
            self.tokens = &self.tokens[1..];
        }
        is
    }

    fn alternatives(&mut self) -> Option<bool> {
        let mut accepted = self.together()?;
        while self.next_is("OR") {
            accepted |= self.together()?;
        }
        Some(accepted)
    }

    fn together(&mut self) -> Option<bool> {
        let mut accepted = self.one()?;
        while self.next_is("AND") {
            accepted &= self.one()?;
        }
        Some(accepted)
    }

    fn one(&mut self) -> Option<bool> {
        if self.next_is("(") {
            let accepted = self.alternatives()?;
            return self.next_is(")").then_some(accepted);
        }
        let (&name, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        let mut full = name.to_string();
        if self.next_is("WITH") {
            let (&exception, rest) = self.tokens.split_first()?;
            self.tokens = rest;
            full = format!("{name} WITH {exception}");
        }
        Some(self.allowed.contains(&full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_understood() {
        let allowed: Vec<String> = ["MIT", "Apache-2.0", "Unicode-3.0"].map(String::from).into();
        for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(acceptable(good, &allowed), "{good}");
        }
        for bad in
            ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT OR", "Apache-2.0 WITH LLVM-exception", "MIT MIT"]
        {
            assert!(!acceptable(bad, &allowed), "{bad}");
        }
    }
}
