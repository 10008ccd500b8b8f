//! Messages that mean nothing, and questions whose answers nobody waits for.

use pecan_component::{
    SUPERVISOR,
    pecan::{Cap, LongMessage, Message, startup::EXIT_LABEL, types::Endpoint},
    println,
    protocols::{ConsoleClient, ControlClient, EchoClient, TimerClient},
    service::Method,
    ticks,
};

use crate::roles;

/// Numbers without an order.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 33
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number that programs have mistaken for an address, a length or an index, or any.
    fn word(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => self.below(130),
            2 => u64::MAX - self.below(16),
            3 => 1 << self.below(64),
            4 => 0xffff_8000_0000_0000 + self.below(1 << 30),
            _ => self.next(),
        }
    }
}

/// Calls and sends so many messages that mean nothing, to everybody that it can reach.
pub fn nonsense(count: u64) {
    // What would end the machine or the program is not nonsense.
    let services: [(Cap<Endpoint>, &[Method]); 6] = [
        (SUPERVISOR.endpoint(), &[]),
        (roles::CONSOLE.endpoint(), ConsoleClient::METHODS),
        (roles::TIMER.endpoint(), TimerClient::METHODS),
        (roles::ECHO.endpoint(), EchoClient::METHODS),
        (roles::CONTROL.endpoint(), ControlClient::METHODS),
        (roles::POWER.endpoint(), &[]),
    ];
    let mut random = Random(ticks());
    for _ in 0..count {
        let (endpoint, methods) = services[random.below(6) as usize];
        let method = methods.get(random.below(1 + 2 * methods.len() as u64) as usize);
        let label = method.map_or_else(|| random.word() >> 12, |m| m.number);
        if label == EXIT_LABEL {
            continue;
        }
        if random.below(8) == 0 {
            // Addresses that lead nowhere would be its own mistake, for which it dies.
            let caps = [random.below(16), random.below(16), 1];
            endpoint.send(&Message::empty(label).with_caps(caps));
            continue;
        }
        let mut message = LongMessage::new(label);
        for _ in 0..random.below(121) {
            // There is room for so many.
            let _ = message.push(random.word());
        }
        // What a server puts off would keep this waiting.
        if method.is_some_and(|m| m.later) || random.below(2) == 0 {
            endpoint.send(&message);
        } else {
            endpoint.call(&message);
        }
    }
    println!("\n{count} messages that mean nothing");
}

/// Sends so many questions that are answered later, and waits for no answer.
pub fn owe(service: &str, count: u64) {
    let (endpoint, methods, name) = match service {
        "console" => (roles::CONSOLE.endpoint(), ConsoleClient::METHODS, "read"),
        "timer" => (roles::TIMER.endpoint(), TimerClient::METHODS, "sleep"),
        _ => (roles::CONTROL.endpoint(), ControlClient::METHODS, "wait"),
    };
    let Some(method) = methods.iter().find(|m| m.name == name) else { return };
    for _ in 0..count {
        // An hour; or a program that does not exist.
        endpoint.send(&Message::new(method.number, [3_600_000_000]));
    }
    println!("{count} times {service}.{name}");
}
