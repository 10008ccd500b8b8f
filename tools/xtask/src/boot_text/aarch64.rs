//! What instructions of AArch64 refer to (Arm ARM, "A64 base instructions"), as far as compilers make addresses by them.

/// Instructions after one that makes the page of an address in which the one is looked for that adds the rest.
const APART: usize = 32;

/// The references in code: where they are, and to what. A page of which nothing more is known stands for its first byte.
pub fn references(code: &[u8], address: u64) -> Vec<(u64, u64)> {
    let words: Vec<u32> = code.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let mut found = Vec::new();
    for (n, &word) in words.iter().enumerate() {
        let at = address + 4 * n as u64;
        let relative = |from: u64, offset: i64| Some(from.wrapping_add_signed(offset));
        let to = match word {
            // B, BL.
            _ if word & 0x7c00_0000 == 0x1400_0000 => relative(at, 4 * signed(word, 0, 26)),
            // B.cond; CBZ, CBNZ; LDR of a literal.
            _ if word & 0xff00_0000 == 0x5400_0000
                || word & 0x7e00_0000 == 0x3400_0000
                || word & 0x3b00_0000 == 0x1800_0000 =>
            {
                relative(at, 4 * signed(word, 5, 19))
            }
            // TBZ, TBNZ.
            _ if word & 0x7e00_0000 == 0x3600_0000 => relative(at, 4 * signed(word, 5, 14)),
            // ADR, ADRP.
            _ if word & 0x1f00_0000 == 0x1000_0000 => {
                let offset = signed(word, 5, 19) << 2 | i64::from(word >> 29 & 3);
                if word >> 31 == 0 {
                    relative(at, offset)
                } else {
                    let page = (at & !0xfff).wrapping_add_signed(offset << 12);
                    let rest = words[n + 1..].iter().take(APART).find_map(|w| added(*w, word & 31));
                    Some(page + rest.unwrap_or(0))
                }
            }
            _ => None,
        };
        found.extend(to.map(|to| (at, to)));
    }
    found
}

/// What an instruction adds to the address in a register: an addition, or a load or store with an offset.
fn added(word: u32, register: u32) -> Option<u64> {
    let (uses, offset) = (word >> 5 & 31 == register, u64::from(word >> 10 & 0xfff));
    match word {
        _ if !uses => None,
        _ if word & 0xffc0_0000 == 0x9100_0000 => Some(offset),
        _ if word & 0x3f00_0000 == 0x3900_0000 => Some(offset << (word >> 30)),
        _ => None,
    }
}

/// The signed number of so many bits from bit `at` on.
fn signed(word: u32, at: u32, bits: u32) -> i64 {
    i64::from((word << (32 - at - bits)) as i32 >> (32 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0xffff_ffff_8020_2000;

    fn of(words: &[u32]) -> Vec<u64> {
        let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        references(&code, AT).into_iter().map(|(_, to)| to).collect()
    }

    /// By hand; each refers to what lies 0x1000 before it, or as is said.
    #[test]
    fn every_form_of_a_reference_is_found() {
        let back = AT - 0x1000;
        let forms = [
            0x97ff_fc00, // bl
            0x17ff_fc00, // b
            0x54ff_8001, // b.ne
            0xb4ff_8003, // cbz x3
            0x58ff_8001, // ldr x1, literal
            0x363f_8002, // tbz w2, #7, -0x1000
            0x10ff_8004, // adr x4
            0xf0ff_ffe0, // adrp x0, the page before
        ];
        for word in forms {
            assert_eq!(of(&[word]), [back], "{word:08x}");
        }
        // With `add x0, x0, #0x123`, and with `ldr x1, [x0, #0x10]` behind an instruction that has nothing to do with it.
        assert_eq!(of(&[0xf0ff_ffe0, 0x9104_8c00]), [back + 0x123]);
        assert_eq!(of(&[0xf0ff_ffe0, 0xd503_201f, 0xf940_0801]), [back + 0x10]);
        assert!(of(&[0xd503_201f, 0x9104_8c00, 0xd65f_03c0]).is_empty(), "nop, add, ret");
    }
}
