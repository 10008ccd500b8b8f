//! The numbers of methods.

/// Tells calls of services from all other messages: no fault and no message of the runtime has a label with it.
pub const CALL: u64 = 1 << 51;
/// The method may be called again when it is not known whether it was carried out.
pub const IDEMPOTENT: u64 = 1 << 50;

/// The number of a method, which is the label of its messages: 50 bits of a hash (FNV-1a) of the protocol's name, its
/// version and the method's name, and two bits that say what it is.
pub fn method(protocol: &str, version: u32, method: &str, idempotent: bool) -> u64 {
    let bytes = protocol.bytes().chain([0]).chain(version.to_le_bytes()).chain(method.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The upper bits are folded in, so that all of them count.
    let hash = (hash ^ hash >> 50) & (IDEMPOTENT - 1);
    CALL | if idempotent { IDEMPOTENT } else { 0 } | hash
}

#[cfg(test)]
mod tests {
    use super::method;

    #[test]
    fn numbers_depend_on_everything_and_fit_a_label() {
        let numbers = [
            method("echo", 1, "ping", false),
            method("echo", 1, "ping", true),
            method("echo", 2, "ping", false),
            method("ech", 1, "ping", false),
            method("echo", 1, "pong", false),
        ];
        for (n, number) in numbers.iter().enumerate() {
            assert!(*number < 1 << 52 && *number >= 1 << 51);
            assert!(!numbers[..n].contains(number));
        }
    }

    /// A number is part of the protocol: programs that were built earlier use it.
    #[test]
    fn numbers_stay_as_they_are() {
        assert_eq!(method("echo", 1, "ping", true), 0xd_f3ea_0284_09e2);
    }
}
