//! What every component of a system holds at run time, compared with its description: a machine boots, and `caps` of each
//! component that runs must list what follows from the description, and nothing else.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use pecan_manifest::{Channel, Component, IrqSource, Rights, Server, Start, System, layout};

use crate::{
    qemu::Boot,
    shell::{Done, Shell},
};

/// How long the lists of a system may take.
const TIME: Duration = Duration::from_secs(120);
/// Where the rights begin in a line of `caps`, and the object.
const RIGHTS: usize = 24;
const OBJECT: usize = 51;

/// Boots a system and compares.
pub fn compare(system: &System, boot: &Boot<'_>) -> Result<()> {
    let mut shell = Shell::start(boot.session(false, TIME)?)?;
    let mut wrong = Vec::new();
    for (number, component) in system.components.iter().enumerate() {
        let settings = &component.settings;
        if settings.start != Start::Boot {
            continue;
        }
        let (done, lines) = shell.command(&format!("caps {}", settings.name))?;
        ensure!(done == Done::Prompt, "the system ended at `caps {}`", settings.name);
        let mut held: Vec<String> = lines.iter().skip(1).filter_map(|line| capability(line)).collect();
        let mut described = described(system, number, component);
        held.sort();
        described.sort();
        for extra in without(&held, &described) {
            wrong.push(format!("{} holds what its description does not give: {extra}", settings.name));
        }
        for missing in without(&described, &held) {
            wrong.push(format!("{} does not hold what its description gives: {missing}", settings.name));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// What is in one sorted list more often than in another.
fn without(list: &[String], other: &[String]) -> Vec<String> {
    let mut rest = other.to_vec();
    let left = list.iter().filter(|item| match rest.iter().position(|r| r == *item) {
        Some(at) => {
            rest.remove(at);
            false
        }
        None => true,
    });
    left.cloned().collect()
}

/// A line of `caps`, without what the description does not decide: address and badge.
fn capability(line: &str) -> Option<String> {
    let cells = [line.get(5..RIGHTS)?, line.get(RIGHTS..RIGHTS + 6)?, line.get(OBJECT..)?];
    Some(cells.map(str::trim).join(" | "))
}

/// What a component is to hold.
fn described(system: &System, number: usize, component: &Component) -> Vec<String> {
    let mut all = Vec::new();
    let mut add =
        |kind: &str, rights: &str, object: String| all.push(format!("{kind} | {rights} | {object}"));
    let settings = &component.settings;
    let registers = if settings.fpu { "itself" } else { "itself, without vector registers" };
    add("thread", "", registers.into());
    add("CNode", "", "its CSpace".into());
    add("VSpace", "", "its address space".into());
    add(
        "scheduling context",
        "",
        match settings.period_ms {
            Some(period) if period != settings.budget_ms => {
                format!("{} us in every {} us", settings.budget_ms * 1000, period * 1000)
            }
            _ => format!("turns of {} us", settings.budget_ms * 1000),
        },
    );
    add("endpoint", "wg", "its fault handler, init".into());
    if settings.overrun_ms.is_some() {
        add("endpoint", "wg", "its timeout handler, init".into());
    }
    add("endpoint", "wp", "its supervisor, init".into());
    for (_, channel) in system.channels_of(number) {
        let (server, role) = system.server_name(channel);
        add("endpoint", "wp", format!("{}: {server}.{role}", system.client_role(channel)));
        if let Some(rights) = page(system, channel) {
            add("memory", rights.names()[0], format!("4K, shared with {server}.{role}"));
        }
    }
    let serves = !component.interface.serves.is_empty();
    if serves {
        add("endpoint", "r", "its own, for those who call it".into());
        for n in 1..=component.clients() + 1 {
            add("reply", "", format!("caller {n}"));
        }
    }
    for ((role, served), places) in component.interface.serves.iter().zip(&component.places) {
        if let Some(rights) = served.page.filter(|_| *places > 0) {
            add("memory", rights.names()[1], format!("{}K, shared with those who call {role}", places * 4));
        }
    }
    let reader = layout::LOG_READER_SIZE >> 10;
    let writer = system.log_writer();
    let writes_log = writer == Some(number);
    if settings.log || writes_log {
        let rights = if writes_log { "rw" } else { "r" };
        add("memory", rights, format!("{}K, the system log", (layout::LOG_SIZE >> 10) - reader));
        add("memory", "rw", format!("{reader}K, the system log"));
    }
    if writes_log {
        add("memory", "r", format!("{}K, what init has to say", (layout::BACKLOG_SIZE >> 10) - reader));
        add("memory", "rw", format!("{reader}K, what init has to say"));
        add("memory", "rw", format!("{}K, lines that have not ended", layout::LOG_KEPT_SIZE >> 10));
        if system.components.iter().any(|component| component.settings.log) {
            add("notification", "w", "signals who shows the system log".into());
        }
        add("I/O ports", "rw", "the serial port, while nobody shows the system log".into());
    } else if writer.is_some() {
        add("endpoint", "wp", "the system log".into());
    }
    for mmio in &settings.mmio {
        let kilobytes = mmio.bytes.0 >> 10;
        add("registers", "rw", format!("{kilobytes}K, at {:#x}, {}", mmio.address, mmio.name));
    }
    for dma in &settings.dma {
        add("memory", "rw", format!("{}K, for devices, {}", dma.bytes.0 >> 10, dma.name));
    }
    for ports in &settings.ports {
        add("I/O ports", "rw", format!("ports {:#x} to {:#x}, {}", ports.first, ports.last, ports.name));
    }
    if settings.archive {
        add("memory", "r", "the boot archive".into());
    }
    let mut has_rings = false;
    for at in system.rings_of(number) {
        has_rings = true;
        let (client, server) = (system.client_name(at.channel), system.server_name(at.channel));
        let (own, other) = if at.calls { (client.1, server) } else { (server.1, client) };
        let of = format!("of the ring with {}.{}", other.0, other.1);
        let indices = at.ring.index_pages() * 4;
        add("memory", "rw", format!("{indices}K, {own}: its own indices {of}"));
        add("memory", "r", format!("{indices}K, {own}: the indices {of}"));
        let rights = at.ring.rights.names()[usize::from(!at.calls)];
        add("memory", rights, format!("{}K, {own}: data {of}", at.ring.data_pages() * 4));
        add("notification", "w", format!("{own}: signals {}.{}", other.0, other.1));
    }
    if serves || has_rings || system.is_part(number) || settings.log || !settings.irqs.is_empty() {
        add("notification", "r", "its signals".into());
    }
    if serves && !settings.threads.is_empty() {
        add("notification", "w", "its signals, for its tasks".into());
    }
    for thread in settings.threads.values() {
        let (budget, period) = thread.time_us();
        add("thread", "", registers.into());
        let time = format!("{budget} us in every {period} us");
        add("scheduling context", "", if budget == period { format!("turns of {budget} us") } else { time });
        add("notification", "rw", "the end of a thread".into());
    }
    for irq in &settings.irqs {
        let from = match irq.source() {
            Some(IrqSource::Isa(isa)) => format!("interrupt {isa} of the ISA bus"),
            Some(IrqSource::Pin { ioapic, pin }) => format!("interrupt of I/O APIC {ioapic} pin {pin}"),
            None => "nothing".into(),
        };
        add("IRQ handler", "", format!("{from}, {}", irq.name));
    }
    all
}

/// Who may write the page that client and server of a channel share, if they share one.
fn page(system: &System, channel: &Channel) -> Option<Rights> {
    let Server::Component(server) = channel.server else { return None };
    let mut roles = system.components[usize::from(server)].interface.serves.values();
    roles.nth(channel.server_role.into())?.page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_compared_without_address_and_badge() {
        let line = "   2 endpoint           wp                    0x1  console: console.clients";
        assert_eq!(capability(line).as_deref(), Some("endpoint | wp | console: console.clients"));
        let line = "   - CNode                                         its CSpace";
        assert_eq!(capability(line).as_deref(), Some("CNode |  | its CSpace"));
    }

    #[test]
    fn what_is_held_twice_and_described_once_is_found() {
        let list = |items: &[&str]| items.iter().map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(without(&list(&["a", "a", "b"]), &list(&["a", "b"])), ["a"]);
        assert!(without(&list(&["a"]), &list(&["a", "b"])).is_empty());
    }
}
