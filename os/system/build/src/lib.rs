//! What the build script of a component calls.

#[cfg(feature = "c")]
pub mod c;

use std::{env, fmt::Write, fs, path::Path};

use pecan_manifest::{Interface, Protocol, RingEnd, RoleRing};
use serde::Deserialize;

/// What is read of a `Cargo.toml`.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
struct Metadata {
    component: Option<Interface>,
}

/// Passes the linker script of the runtime on, and makes the module of the component's roles. Where it cannot, the build
/// ends with a message.
pub fn component() {
    if let Err(message) = build() {
        fail(&message);
    }
}

/// The same for a component in C: also compiles its C files, with headers of the services that its roles name.
#[cfg(feature = "c")]
pub fn c_component(sources: &[&str]) {
    let built = build().and_then(|interface| {
        let served = interface.serves.values().map(|served| &served.protocol);
        let used = interface.uses.values().map(|used| &used.protocol);
        let protocols = used.chain(served).map(|protocol| &*protocol.name);
        c::headers(protocols)
    });
    match built.and_then(|()| {
        env::var("DEP_PECAN_C_INCLUDE")
            .map_err(|_| "a component in C depends on pecan-c: add it to [dependencies] in Cargo.toml".into())
    }) {
        Ok(include) => c::compile("component", sources, &[include]),
        Err(message) => fail(&message),
    }
}

/// Ends the build with a message.
fn fail(message: &str) {
    println!("cargo::error={}", message.trim_end().replace('\n', "\ncargo::error="));
}

/// A variable that cargo sets for build scripts.
fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: call this from build.rs"))
}

fn build() -> Result<Interface, String> {
    let script = env::var("DEP_PECAN_RUNTIME_LINKER_SCRIPT")
        .map_err(|_| "a component depends on pecan-runtime: add it to [dependencies] in Cargo.toml")?;
    println!("cargo::rustc-link-arg-bins=-T{script}");
    println!("cargo::rerun-if-changed=Cargo.toml");
    let path = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let interface = interface(&text).map_err(|e| format!("cannot use {}: {e}", path.display()))?;
    let out = Path::new(&variable("OUT_DIR")?).join("roles.rs");
    fs::write(&out, module(&interface)).map_err(|e| format!("cannot write {}: {e}", out.display()))?;
    Ok(interface)
}

/// The interface in the text of a `Cargo.toml`; without one the component serves and uses nothing.
fn interface(text: &str) -> Result<Interface, toml::de::Error> {
    Ok(toml::from_str::<Manifest>(text)?.package.metadata.component.unwrap_or_default())
}

/// The text of the module.
fn module(interface: &Interface) -> String {
    let mut out = String::new();
    if !interface.uses.is_empty() || !interface.serves.is_empty() {
        out.push_str("use pecan_component as component;\n");
    }
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = out.write_fmt(text);
    };
    for (role, used) in &interface.uses {
        let role: &str = role;
        let (constant, client) = (constant(role), path(&used.protocol, "Client"));
        let (marker, taken) = extra(&constant, used.ring, used.sessions);
        let (kind, value) =
            marker.map_or_else(Default::default, |m| (format!(", {}", m.0), format!(", {}", m.1)));
        let new = if value.is_empty() { "new" } else { "with" };
        line(format_args!(
            "{taken}/// The role `{role}` of this component, in which it calls a server by the protocol `{name}`.\n\
             pub const {constant}: component::Uses<{client}{kind}> = component::Uses::{new}({role:?}, {client}::new{value});\n",
            name = used.protocol.name,
        ));
    }
    for (number, (role, served)) in interface.serves.iter().enumerate() {
        let role: &str = role;
        let constant = constant(role);
        let (marker, taken) = extra(&constant, served.ring, served.sessions);
        let (kind, value) =
            marker.map_or_else(Default::default, |m| (format!("<{}>", m.0), format!(", {}", m.1)));
        let new = if value.is_empty() { "new" } else { "with" };
        line(format_args!(
            "{taken}/// The role `{role}` of this component, in which it is called by the protocol `{name}`.\n\
             pub const {constant}: component::Serves{kind} = component::Serves::{new}({role:?}, {number}{value});\n",
            name = served.protocol.name,
        ));
    }
    if !interface.serves.is_empty() {
        line(format_args!("component::service::dispatch_roles! {{\n"));
        for (number, served) in interface.serves.values().enumerate() {
            line(format_args!("    {number} => {},\n", path(&served.protocol, "Dispatch")));
        }
        line(format_args!("}}\n"));
    }
    out
}

/// What a constant says of the role's ring or of its sessions, as a type and as a value; and what remembers that the ring is in
/// use.
fn extra(constant: &str, ring: Option<RoleRing>, sessions: bool) -> (Option<(&'static str, String)>, String) {
    if sessions {
        const MARKER: &str = "component::WithSessions";
        return (Some((MARKER, MARKER.into())), String::new());
    }
    let Some(RoleRing { end, buffer }) = ring else { return (None, String::new()) };
    let kind = match end {
        RingEnd::Produces => "component::Produces",
        RingEnd::Consumes => "component::Consumes",
    };
    let value = format!("{kind}::new({}, &{constant}_TAKEN)", buffer.0);
    (Some((kind, value)), format!("static {constant}_TAKEN: component::Taken = component::Taken::new();\n"))
}

/// The name of a role as that of a constant.
fn constant(role: &str) -> String {
    role.replace('-', "_").to_uppercase()
}

/// The path of a type of a protocol.
fn path(protocol: &Protocol, kind: &str) -> String {
    let camel: String = protocol.name.split(['-', '_']).map(capitalised).collect();
    match &protocol.package {
        Some(package) => format!("::{}::{camel}{kind}", package.replace('-', "_")),
        None => format!("component::protocols::{camel}{kind}"),
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module_of(text: &str) -> String {
        module(&interface(&format!("[package]\nname = \"p\"\n{text}")).unwrap())
    }

    #[test]
    fn roles_become_constants() {
        let text = module_of(
            r#"
            [package.metadata.component]
            serves = { clients = { protocol = "console", page = "w" }, admin-role = "echo" }
            uses = { store = { protocol = "echo", sessions = true }, log-in = { protocol = "pipe", ring = "produces", buffer = "2K" }, disk0 = "block", disk1 = "block", other = { protocol = "two-words", crate = "my-crate" } }
            "#,
        );
        let has = |line: &str| assert!(text.contains(line), "{line}\nis not in\n{text}");
        has("pub const DISK0: component::Uses<component::protocols::BlockClient> =");
        has("pub const DISK1: component::Uses<component::protocols::BlockClient> =");
        has("static LOG_IN_TAKEN: component::Taken = component::Taken::new();");
        has("pub const LOG_IN: component::Uses<component::protocols::PipeClient, component::Produces> =");
        has("PipeClient::new, component::Produces::new(2048, &LOG_IN_TAKEN));");
        has("component::Uses::new(\"other\", ::my_crate::TwoWordsClient::new);");
        has("pub const STORE: component::Uses<component::protocols::EchoClient, component::WithSessions> =");
        has(
            "component::Uses::with(\"store\", component::protocols::EchoClient::new, component::WithSessions);",
        );
        has("pub const ADMIN_ROLE: component::Serves = component::Serves::new(\"admin-role\", 0);");
        has("0 => component::protocols::EchoDispatch,\n    1 => component::protocols::ConsoleDispatch,");
    }

    #[test]
    fn a_component_may_have_no_roles() {
        assert_eq!(module_of(""), "");
        assert!(interface("[package]\nmetadata.component = { uses = { \"a b\" = \"echo\" } }").is_err());
        assert!(interface("[package]\nmetadata.component = { use = { a = \"echo\" } }").is_err());
    }
}
