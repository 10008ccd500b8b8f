//! Components in C: the compiler, and headers made from `abi/` and from the traits of services.

use std::{env, fmt::Write, fs, path::Path};

use pecan_abi::{Error, INVOCATIONS, ipc};
use pecan_service::{Description, Method};

/// Compiles the C sources of a component or of a library for components, with folders that headers are looked for in. Where it
/// cannot, the build ends with a message.
pub fn compile(name: &str, sources: &[&str], include: &[String]) {
    if let Err(message) = try_compile(name, sources, include) {
        crate::fail(&message);
    }
}

fn try_compile(name: &str, sources: &[&str], include: &[String]) -> Result<(), String> {
    let out = crate::variable("OUT_DIR")?;
    write(&Path::new(&out).join("include/pecan/abi.h"), &abi_header())?;
    sources.iter().for_each(|source| println!("cargo::rerun-if-changed={source}"));
    let mut build = cc::Build::new();
    // What the compiler is told of the machine is what the Rust compiler is told: user/targets, and `toolchain.rs` of xtask.
    build.compiler(compiler()?).target("x86_64-unknown-none").opt_level_str("2").debug(true).pic(false);
    let soft_float = env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-none");
    if soft_float {
        build.flag("-mgeneral-regs-only");
    }
    for flag in FLAGS {
        build.flag(flag);
    }
    build.include(format!("{out}/include"));
    for folder in include {
        println!("cargo::rerun-if-changed={folder}");
        build.include(folder);
    }
    build.files(sources).warnings(true).extra_warnings(true);
    build.try_compile(name).map_err(|error| error.to_string())
}

/// How C is compiled for programs on Pecan.
const FLAGS: [&str; 7] = [
    "-std=c11",
    "-ffreestanding",
    "-mcmodel=small",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    // A supervisor walks the stack of a component that died.
    "-fno-omit-frame-pointer",
    "-mno-red-zone",
];

/// The C compiler: the one that `CC` names, or `cc`.
fn compiler() -> Result<String, String> {
    println!("cargo::rerun-if-env-changed=CC");
    let name = env::var("CC").unwrap_or_else(|_| "cc".into());
    let works = std::process::Command::new(&name).arg("--version").output().is_ok_and(|o| o.status.success());
    works.then_some(name.clone()).ok_or_else(|| {
        format!(
            "there is no C compiler `{name}` here, and this component is written in C\nto mend it: apt-get install gcc \
             (`cargo xtask doctor` says what else is missing)"
        )
    })
}

/// Writes the headers of the services with these protocols.
pub(crate) fn headers<'a>(protocols: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let out = crate::variable("OUT_DIR")?;
    for name in protocols {
        let found = pecan_protocols::ALL.iter().find(|d| d.name == name);
        let description = found.ok_or_else(|| format!("there is no protocol `{name}` that C could speak"))?;
        write(&Path::new(&out).join(format!("include/pecan/{name}.h")), &header(description))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let error = |e| format!("cannot write {}: {e}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(error)?;
    fs::write(path, text).map_err(error)
}

/// `pecan/abi.h`: the numbers of the kernel's interface.
fn abi_header() -> String {
    let mut out = String::from("/* Numbers of the kernel's interface. Made from abi/ by pecan-build. */\n");
    out += "#ifndef PECAN_ABI_H\n#define PECAN_ABI_H\n\n";
    for (name, what, value) in [
        ("MESSAGE_WORDS", "The most words of a message.", ipc::MSG_MAX_LENGTH),
        ("MESSAGE_REGISTERS", "Those of them that travel in registers.", ipc::MESSAGE_REGISTERS),
        ("MESSAGE_CAPS", "The most capabilities that go along with a message.", ipc::MSG_MAX_EXTRA_CAPS),
    ] {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(out, "/* {what} */\n#define PECAN_{name} {value}");
    }
    out += "\n/* Errors of invocations: the label of the kernel's answer. */\nenum pecan_kernel_error {\n";
    for error in Error::ALL {
        let _ = writeln!(out, "\tPECAN_KERNEL_{} = {},", screaming(error.name()), error.word());
    }
    out += "};\n\n/* Labels of invocations. */\nenum pecan_label {\n";
    for invocation in INVOCATIONS {
        let (name, number) = (invocation.label.name(), invocation.label.word());
        let _ = writeln!(out, "\tPECAN_LABEL_{} = {number},", screaming(name));
    }
    out += "};\n\n#endif\n";
    out
}

/// `NoError` is `NO_ERROR`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    let mut last = '_';
    for c in name.chars() {
        if c.is_uppercase() && !last.is_uppercase() && last != '_' {
            out.push('_');
        }
        out.extend(c.to_uppercase());
        last = c;
    }
    out
}

/// A type of a method, as far as C has one.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Nothing,
    /// A number: its type, and the largest.
    Number(&'static str, &'static str),
    /// Bytes, which are a text if the flag says so.
    Bytes,
}

fn kind(ty: &str) -> Option<Kind> {
    Some(match ty.replace(' ', "").as_str() {
        "()" => Kind::Nothing,
        "u8" => Kind::Number("uint8_t", "UINT8_MAX"),
        "u16" => Kind::Number("uint16_t", "UINT16_MAX"),
        "u32" => Kind::Number("uint32_t", "UINT32_MAX"),
        "u64" => Kind::Number("uint64_t", "UINT64_MAX"),
        "usize" => Kind::Number("size_t", "SIZE_MAX"),
        "bool" => Kind::Number("bool", "1"),
        "&str" | "&[u8]" => Kind::Bytes,
        ty if ty.starts_with("Text<") || ty.starts_with("Bytes<") => Kind::Bytes,
        _ => return None,
    })
}

/// A method's types in C: those of its arguments, with their names, and that of its result; `None` if it has another.
fn types(method: &Method) -> Option<(Vec<(&str, Kind)>, Kind)> {
    let arguments = method.arguments.iter().map(|(name, ty)| Some((*name, kind(ty)?)));
    Some((arguments.collect::<Option<_>>()?, kind(method.answer)?))
}

/// The header of a service.
fn header(description: &Description) -> String {
    let name = description.name.replace('-', "_");
    let guard = format!("PECAN_{}_H", name.to_uppercase());
    let mut out = format!(
        "/* The service `{}`: its client, and its server. Made from the trait by pecan-build. */\n\
         #ifndef {guard}\n#define {guard}\n\n#include \"pecan.h\"\n",
        description.name
    );
    let mut served = Vec::new();
    for method in description.methods {
        match types(method) {
            Some((arguments, result)) => {
                client(&mut out, &name, method, &arguments, result);
                if !method.later {
                    served.push((method, arguments, result));
                }
            }
            None => {
                let _ = writeln!(out, "\n/* C has no type for a parameter of `{}`. */", method.name);
            }
        }
    }
    if !served.is_empty() {
        server(&mut out, &name, description.version, &served);
    }
    out += "\n#endif\n";
    out
}

/// Parameters of the arguments of a method.
fn parameters(arguments: &[(&str, Kind)]) -> String {
    let parameter = |(name, kind): &(&str, Kind)| match kind {
        Kind::Nothing => String::new(),
        Kind::Number(ty, _) => format!(", {ty} {name}"),
        Kind::Bytes => format!(", const char *{name}, size_t {name}_length"),
    };
    arguments.iter().map(parameter).collect()
}

fn client(out: &mut String, service: &str, method: &Method, arguments: &[(&str, Kind)], result: Kind) {
    let returned = match result {
        Kind::Nothing => String::new(),
        Kind::Number(ty, _) => format!(", {ty} *result"),
        Kind::Bytes => ", char *result, size_t *result_length".into(),
    };
    let about = match result {
        Kind::Bytes => " `result_length` is how many bytes there is room for, and then how many there are.",
        _ => "",
    };
    let _ = write!(
        out,
        "\n/* Calls `{name}`.{about} */\n\
         static inline enum pecan_error {service}_{name}(pecan_cap server{parameters}{returned})\n{{\n\
         \tstruct pecan_message message;\n\tstruct pecan_cursor to = pecan_write(&message, {label:#x});\n",
        name = method.name,
        parameters = parameters(arguments),
        label = method.number,
    );
    for (name, kind) in arguments {
        let _ = match kind {
            Kind::Nothing => Ok(()),
            Kind::Number(..) => writeln!(out, "\tpecan_put_word(&to, {name});"),
            Kind::Bytes => writeln!(out, "\tpecan_put_bytes(&to, {name}, {name}_length);"),
        };
    }
    *out += "\tif (to.bad)\n\t\treturn PECAN_TOO_LONG;\n\tpecan_call(server, &message);\n\
             \tif (message.label != PECAN_OK)\n\
             \t\treturn message.label <= PECAN_SERVER_RESTARTED ? (enum pecan_error)message.label : PECAN_GARBLED;\n";
    *out += &match result {
        Kind::Nothing => String::new(),
        Kind::Number(ty, most) => format!(
            "\tstruct pecan_cursor from = pecan_read(&message);\n\t{ty} value = ({ty})pecan_take_word(&from, {most});\n\
             \tif (from.bad)\n\t\treturn PECAN_GARBLED;\n\t*result = value;\n"
        ),
        Kind::Bytes => "\tstruct pecan_cursor from = pecan_read(&message);\n\tsize_t length;\n\
             \tconst char *bytes = pecan_take_bytes(&from, &length);\n\tif (from.bad)\n\t\treturn PECAN_GARBLED;\n\
             \tif (length > *result_length)\n\t\treturn PECAN_TOO_LONG;\n\tmemcpy(result, bytes, length);\n\
             \t*result_length = length;\n"
            .into(),
    };
    *out += "\treturn PECAN_OK;\n}\n";
}

/// A method that a server in C answers: the types of its arguments and of its result.
type Served<'a> = (&'a Method, Vec<(&'a str, Kind)>, Kind);

fn server(out: &mut String, service: &str, version: u32, methods: &[Served<'_>]) {
    let _ = write!(
        out,
        "\n/* A server: a function for each method that is answered at once. One that is null answers that there is no such \
         method. */\nstruct {service}_server {{\n"
    );
    for (method, arguments, result) in methods {
        let (ty, room) = match result {
            Kind::Nothing => ("void", ""),
            Kind::Number(ty, _) => (*ty, ""),
            Kind::Bytes => ("size_t", ", char *result, size_t room"),
        };
        let parameters = parameters(arguments);
        let _ = writeln!(
            out,
            "\t{ty} (*{})(void *state, struct pecan_caller caller{parameters}{room});",
            method.name
        );
    }
    let _ = write!(
        out,
        "}};\n\n/* Answers a call: has the server's function called, and puts the answer in the message's place. */\n\
         static inline void {service}_answer(const struct {service}_server *server, void *state,\n\
         \t\tstruct pecan_caller caller, struct pecan_message *message)\n{{\n\
         \tstruct pecan_cursor from = pecan_read(message);\n\tstruct pecan_cursor to;\n\tswitch (message->label) {{\n"
    );
    for (method, arguments, result) in methods {
        let name = method.name;
        let _ = writeln!(out, "\tcase {:#x}: {{\n\t\tif (!server->{name})\n\t\t\tbreak;", method.number);
        let mut given = String::from("state, caller");
        for (argument, kind) in arguments {
            let _ = match kind {
                Kind::Nothing => Ok(()),
                Kind::Number(ty, most) => {
                    let _ = write!(given, ", {argument}");
                    writeln!(out, "\t\t{ty} {argument} = ({ty})pecan_take_word(&from, {most});")
                }
                Kind::Bytes => {
                    let _ = write!(given, ", {argument}, {argument}_length");
                    writeln!(
                        out,
                        "\t\tsize_t {argument}_length;\n\
                         \t\tconst char *{argument} = pecan_take_bytes(&from, &{argument}_length);"
                    )
                }
            };
        }
        *out += "\t\tif (from.bad) {\n\t\t\tpecan_write(message, PECAN_GARBLED);\n\t\t\treturn;\n\t\t}\n";
        *out += &match result {
            Kind::Nothing => format!("\t\tserver->{name}({given});\n\t\tpecan_write(message, PECAN_OK);\n"),
            Kind::Number(ty, _) => format!(
                "\t\t{ty} result = server->{name}({given});\n\t\tto = pecan_write(message, PECAN_OK);\n\
                 \t\tpecan_put_word(&to, result);\n"
            ),
            Kind::Bytes => format!(
                "\t\tchar result[8 * (PECAN_MESSAGE_WORDS - 1)];\n\
                 \t\tsize_t length = server->{name}({given}, result, sizeof result);\n\
                 \t\tto = pecan_write(message, PECAN_OK);\n\
                 \t\tpecan_put_bytes(&to, result, length < sizeof result ? length : sizeof result);\n"
            ),
        };
        *out += "\t\treturn;\n\t}\n";
    }
    let _ = write!(
        out,
        "\t}}\n\t(void)from;\n\tto = pecan_write(message, PECAN_NO_SUCH_METHOD);\n\tpecan_put_word(&to, {version});\n}}\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn method(
        name: &'static str,
        number: u64,
        later: bool,
        arguments: &'static [(&'static str, &'static str)],
        answer: &'static str,
    ) -> Method {
        Method { name, number, idempotent: false, later, arguments, answer }
    }

    const METHODS: [Method; 4] = [
        method("add", 0x1_0100, false, &[("a", "u8"), ("b", "u64")], "u64"),
        method("name", 0x1_0101, false, &[("of", "& str")], "Bytes < 9 >"),
        method("wait", 0x1_0102, true, &[], "()"),
        method("list", 0x1_0103, false, &[], "Option < Item >"),
    ];

    #[test]
    fn a_method_becomes_a_call_and_an_answer() {
        let text = header(&Description { name: "two-words", version: 3, methods: &METHODS });
        let has = |part: &str| assert!(text.contains(part), "{part}\nis not in\n{text}");
        has(
            "static inline enum pecan_error two_words_add(pecan_cap server, uint8_t a, uint64_t b, uint64_t *result)",
        );
        has("pecan_write(&message, 0x10100)");
        has(
            "two_words_name(pecan_cap server, const char *of, size_t of_length, char *result, size_t *result_length)",
        );
        has("\tuint64_t (*add)(void *state, struct pecan_caller caller, uint8_t a, uint64_t b);");
        has("uint8_t a = (uint8_t)pecan_take_word(&from, UINT8_MAX);");
        has("server->name(state, caller, of, of_length, result, sizeof result);");
        has("to = pecan_write(message, PECAN_NO_SUCH_METHOD);\n\tpecan_put_word(&to, 3);");
    }

    #[test]
    fn what_c_has_no_type_for_is_said_and_left_out() {
        let text = header(&Description { name: "s", version: 1, methods: &METHODS });
        assert!(text.contains("/* C has no type for a parameter of `list`. */"));
        assert!(
            !text.contains("s_list(")
                && !text.contains("(*wait)")
                && text.contains("s_wait(pecan_cap server)")
        );
    }

    #[test]
    fn names_are_those_of_c() {
        let cases =
            [("NoError", "NO_ERROR"), ("X86IoPortIn8", "X86_IO_PORT_IN8"), ("CNodeCopy", "CNODE_COPY")];
        for (name, expected) in cases {
            assert_eq!(screaming(name), expected);
        }
        assert!(abi_header().contains("#define PECAN_MESSAGE_WORDS 120\n"));
        assert!(abi_header().contains("\tPECAN_KERNEL_NO_ERROR = 0,\n"));
    }
}
