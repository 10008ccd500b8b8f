//! What can be wrong with the devices that a description gives: each belongs to one component.

use std::collections::BTreeMap;

use pecan_manifest::{Mmio, Ports, RoleName, Size, Start};

use super::{
    description::{Draft, usual_pin},
    problem::Problem,
    rules::{PAGE, at, size},
};

/// The most interrupts of a component.
const IRQS_MAX: usize = 16;
/// The least and the most bytes of a range of registers, and of memory for a device.
const MMIO: [Size; 2] = [Size(PAGE), Size(16 << 20)];
const DMA: [Size; 2] = [Size(PAGE), Size(4 << 20)];

/// Checks the devices of a description.
pub fn check(draft: &Draft, problems: &mut Vec<Problem>) {
    devices(draft, problems);
    device_memory(draft, problems);
}

/// Registers in memory and memory for devices are whole pages, and each has one owner. What a component has of a kind has names of its own.
fn device_memory(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut taken: Vec<(usize, &Mmio)> = Vec::new();
    for (n, component) in draft.system.components.iter().enumerate() {
        let settings = &component.settings;
        let item = |key: &str, nth: usize| {
            draft.parts[n].node.get(key).and_then(|list| list.items().into_iter().nth(nth))
        };
        let place = |key: &str, nth: usize, part: &str| {
            item(key, nth).map_or_else(|| at(draft, n, key), |node| node.at(part))
        };
        for (nth, mmio) in settings.mmio.iter().enumerate() {
            if !mmio.address.is_multiple_of(PAGE) {
                let title = format!("the registers `{}` do not begin at a page", mmio.name);
                let page = mmio.address / PAGE * PAGE;
                let help = format!("write {page:#x}: the page that they are in is given as a whole");
                problems.push(
                    Problem::new(title, place("mmio", nth, "address"), "not a multiple of 4K").help(help),
                );
            }
            size(mmio.bytes, MMIO, "a range of registers", place("mmio", nth, "bytes"), problems);
            let overlaps =
                |(_, other): &&(usize, &Mmio)| mmio.address < other.end() && other.address < mmio.end();
            if let Some((other, range)) = taken.iter().find(overlaps) {
                let from = mmio.address.max(range.address);
                problems.push(
                    Problem::new(
                        format!("the registers at {from:#x} are given twice"),
                        at(draft, n, "mmio"),
                        format!("`{}` has them as `{}`", settings.name, mmio.name),
                    )
                    .also(at(draft, *other, "mmio"), "and so has this one")
                    .help("let one of them have the device, and serve the other"),
                );
            }
            taken.push((n, mmio));
        }
        for (nth, dma) in settings.dma.iter().enumerate() {
            let bytes = dma.bytes;
            if !(DMA[0]..=DMA[1]).contains(&bytes) || !bytes.0.is_power_of_two() {
                let next = Size(bytes.0.clamp(DMA[0].0, DMA[1].0).next_power_of_two());
                let title = format!("memory for devices is a power of two from {} to {}", DMA[0], DMA[1]);
                let problem = Problem::new(title, place("dma", nth, "bytes"), "not such a size");
                problems.push(problem.help(format!("write \"{next}\": it is in one piece")));
            }
        }
        if !settings.dma.is_empty() && settings.start == Start::Demand {
            problems.push(
                Problem::new(
                    "memory for devices is for components that are started with the system",
                    at(draft, n, "dma"),
                    format!("`{}` can run several times at once", settings.name),
                )
                .help("let a driver have it that is started at boot, and serve this one"),
            );
        }
        let named: [(&str, Vec<&RoleName>); 3] = [
            ("mmio", settings.mmio.iter().map(|m| &m.name).collect()),
            ("dma", settings.dma.iter().map(|d| &d.name).collect()),
            ("files", settings.files.iter().map(|f| &f.name).collect()),
        ];
        for (key, names) in named {
            for (nth, name) in names.iter().enumerate() {
                if let Some(first) = names[..nth].iter().position(|other| other == name) {
                    let title = format!("`{}` has two things called `{name}` in `{key}`", settings.name);
                    let problem = Problem::new(title, place(key, nth, "name"), "again");
                    problems.push(
                        problem
                            .also(place(key, first, "name"), "the first one")
                            .help("give one of them another name"),
                    );
                }
            }
        }
    }
}

/// A device belongs to one component, and a component calls each of its devices something else.
fn devices(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut ports: Vec<(usize, &Ports)> = Vec::new();
    let mut pins = BTreeMap::new();
    for (n, component) in draft.system.components.iter().enumerate() {
        let settings = &component.settings;
        for range in &settings.ports {
            let overlaps = |(_, p): &&(usize, &Ports)| range.first <= p.last && p.first <= range.last;
            if let Some((other, taken)) = ports.iter().find(overlaps) {
                let (first, last) = (range.first.max(taken.first), range.last.min(taken.last));
                problems.push(
                    Problem::new(
                        format!("two components have the I/O ports {first:#x} to {last:#x}"),
                        at(draft, n, "ports"),
                        format!("`{}` has them as `{}`", settings.name, range.name),
                    )
                    .also(at(draft, *other, "ports"), "and so has this one")
                    .help("let one of them have the device, and serve the other"),
                );
            }
            ports.push((n, range));
        }
        if settings.irqs.len() > IRQS_MAX {
            let title = format!("a component has at most {IRQS_MAX} interrupts");
            problems.push(Problem::new(
                title,
                at(draft, n, "irqs"),
                format!("{} of them", settings.irqs.len()),
            ));
        }
        for irq in &settings.irqs {
            match usual_pin(irq) {
                Err(what) => problems.push(
                    Problem::new(
                        format!("interrupt `{}`: {what}", irq.name),
                        at(draft, n, "irqs"),
                        "among these",
                    )
                    .help("write `isa = N`, with N not 2 and at most 15, or `ioapic = N, pin = N`"),
                ),
                Ok(pin) => {
                    if let Some(other) = pins.insert(pin, n) {
                        problems.push(
                            Problem::new(
                                format!(
                                    "two components have the interrupt at pin {} of I/O APIC {}",
                                    pin.1, pin.0
                                ),
                                at(draft, n, "irqs"),
                                format!("`{}` has it as `{}`", settings.name, irq.name),
                            )
                            .also(at(draft, other, "irqs"), "and so has this one")
                            .help("let one of them have the device, and serve the other"),
                        );
                    }
                }
            }
        }
    }
}
