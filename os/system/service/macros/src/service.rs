//! `#[service]`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ItemTrait, LitInt, LitStr, Pat, PathArguments,
    ReceiverKind, Result, ReturnType, Token, TraitItem, TraitItemFn, Type,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::number;

/// `name = "...", version = N`.
struct Protocol {
    name: LitStr,
    version: u32,
}

impl Parse for Protocol {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut name, mut version) = (None, None);
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            if key == "name" {
                name = Some(input.parse::<LitStr>()?);
            } else if key == "version" {
                version = Some(input.parse::<LitInt>()?.base10_parse::<u32>()?);
            } else {
                return Err(Error::new(
                    key.span(),
                    "a service has a `name` and a `version`, and nothing else",
                ));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = |what| Error::new(Span::call_site(), format!("a service needs `{what}`"));
        Ok(Self {
            name: name.ok_or_else(|| missing("name = \"...\""))?,
            version: version.ok_or_else(|| missing("version = N"))?,
        })
    }
}

struct Argument {
    name: Ident,
    ty: Type,
    /// `#[max(N)]`.
    max: Option<syn::Expr>,
}

struct Method {
    name: Ident,
    docs: Vec<Attribute>,
    idempotent: bool,
    arguments: Vec<Argument>,
    returns: Type,
    /// It answers later.
    later: bool,
    number: u64,
}

pub fn expand(attributes: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let protocol: Protocol = syn::parse2(attributes)?;
    let mut item: ItemTrait = syn::parse2(item)?;
    if let Some(lifetime_or_type) = item.generics.params.first() {
        return Err(Error::new(
            lifetime_or_type.span(),
            "a service has no parameters: a message does not have any",
        ));
    }
    let mut methods: Vec<Method> = Vec::new();
    for inner in &mut item.items {
        let TraitItem::Fn(function) = inner else {
            return Err(Error::new(inner.span(), "a service has methods, and nothing else"));
        };
        let method = method(&protocol, function)?;
        if let Some(other) = methods.iter().find(|m| m.number == method.number) {
            return Err(Error::new(
                method.name.span(),
                format!(
                    "`{}` has the same number as `{}`; give one of them another name",
                    method.name, other.name
                ),
            ));
        }
        methods.push(method);
    }
    Ok(generate(&protocol, item, &methods))
}

/// Names of functions that every service or its client has.
const TAKEN: [&str; 5] = ["new", "gone", "given_up", "within", "cancelled_by"];

/// Reads a method, and takes from it the attributes that are the macro's.
fn method(protocol: &Protocol, function: &mut TraitItemFn) -> Result<Method> {
    if let Some(body) = &function.default {
        return Err(Error::new(body.span(), "a method of a service has no body: the server has it"));
    }
    let name = function.sig.ident.clone();
    if TAKEN.iter().any(|taken| name == taken) {
        return Err(Error::new(name.span(), format!("every service has a function `{name}` already")));
    }
    if let Some(parameter) = function.sig.generics.params.first() {
        return Err(Error::new(
            parameter.span(),
            "a method of a service has no parameters in angle brackets",
        ));
    }
    let idempotent = function.attrs.iter().any(|a| a.path().is_ident("idempotent"));
    function.attrs.retain(|a| !a.path().is_ident("idempotent"));
    let docs = function.attrs.iter().filter(|a| a.path().is_ident("doc")).cloned().collect();

    let what_is_wanted = "a method of a service starts with `&mut self, caller: Caller`";
    let mut inputs = function.sig.inputs.iter_mut();
    match inputs.next() {
        Some(FnArg::Receiver(receiver))
            if matches!(receiver.kind, ReceiverKind::Reference(_, _, Some(_))) => {}
        Some(other) => return Err(Error::new(other.span(), what_is_wanted)),
        None => return Err(Error::new(name.span(), what_is_wanted)),
    }
    match inputs.next() {
        Some(FnArg::Typed(caller)) if last_segment(&caller.ty).is_some_and(|s| s.ident == "Caller") => {}
        Some(other) => return Err(Error::new(other.span(), what_is_wanted)),
        None => return Err(Error::new(name.span(), what_is_wanted)),
    }
    let mut arguments = Vec::new();
    let mut later = None;
    for input in inputs {
        let FnArg::Typed(input) = input else { continue };
        if later.is_some() {
            return Err(Error::new(input.span(), "`Later` comes last"));
        }
        let Pat::Ident(pattern) = &*input.pat else {
            return Err(Error::new(input.pat.span(), "an argument has a name"));
        };
        if let Some(answer) = answer_of(&input.ty) {
            later = Some(answer);
            continue;
        }
        let mut max = None;
        for attribute in &input.attrs {
            if !attribute.path().is_ident("max") {
                return Err(Error::new(
                    attribute.span(),
                    "an argument can have `#[max(N)]`, and nothing else",
                ));
            }
            max = Some(attribute.parse_args::<syn::Expr>()?);
        }
        input.attrs.clear();
        arguments.push(Argument { name: pattern.ident.clone(), ty: (*input.ty).clone(), max });
    }
    let returns = match &function.sig.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    if later.is_some() && !matches!(function.sig.output, ReturnType::Default) {
        return Err(Error::new(
            returns.span(),
            "a method with `Later` returns nothing: the answer comes later",
        ));
    }
    let number = number::method(&protocol.name.value(), protocol.version, &name.to_string(), idempotent);
    let (returns, later) = match later {
        Some(answer) => (answer, true),
        None => (returns, false),
    };
    Ok(Method { name, docs, idempotent, arguments, returns, later, number })
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The `T` of a `Later<T>`.
fn answer_of(ty: &Type) -> Option<Type> {
    let segment = last_segment(ty).filter(|s| s.ident == "Later")?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    }
}

fn generate(protocol: &Protocol, mut item: ItemTrait, methods: &[Method]) -> TokenStream {
    let (name, version) = (&protocol.name, protocol.version);
    let (vis, service) = (&item.vis, &item.ident);
    let docs: Vec<_> = item.attrs.iter().filter(|a| a.path().is_ident("doc")).collect();
    let (client, dispatch) = (format_ident!("{service}Client"), format_ident!("{service}Dispatch"));
    let calls = methods.iter().map(call);
    let arms = methods.iter().map(|m| arm(service, m));
    let proofs = methods.iter().map(proof);
    let table =
        methods.iter().map(|Method { name, number, idempotent, later, arguments, returns, .. }| {
            let name = name.to_string();
            let arguments = arguments.iter().map(|Argument { name, ty, .. }| {
                let (name, ty) = (name.to_string(), quote!(#ty).to_string());
                quote!((#name, #ty))
            });
            let answer = quote!(#returns).to_string();
            quote!(::pecan_service::Method {
                name: #name,
                number: #number,
                idempotent: #idempotent,
                later: #later,
                arguments: &[#(#arguments),*],
                answer: #answer,
            })
        });
    let generated = quote! {
        #(#docs)*
        ///
        /// This is the client's end.
        #[derive(Clone, Copy, Debug)]
        #vis struct #client {
            channel: ::pecan_service::Channel,
        }

        impl #client {
            /// The name of the protocol.
            pub const PROTOCOL: &'static str = #name;
            /// The version of the protocol.
            pub const VERSION: u32 = #version;
            /// The methods, in the order of the trait.
            pub const METHODS: &'static [::pecan_service::Method] = &[#(#table),*];
            /// What the protocol consists of.
            pub const DESCRIPTION: ::pecan_service::Description = ::pecan_service::Description {
                name: Self::PROTOCOL,
                version: Self::VERSION,
                methods: Self::METHODS,
            };

            /// A client that calls through an endpoint capability.
            pub const fn new(
                endpoint: ::pecan_service::__pecan::Cap<::pecan_service::__pecan::types::Endpoint>,
            ) -> Self {
                Self { channel: ::pecan_service::Channel::new(endpoint, #version) }
            }

            /// The same client, whose calls end with [`TimedOut`](::pecan_service::CallError::TimedOut) when they take
            /// longer.
            #[must_use]
            pub const fn within(&self, time: ::core::time::Duration) -> Self {
                Self { channel: self.channel.within(time) }
            }

            /// The same client, whose calls end with [`Cancelled`](::pecan_service::CallError::Cancelled) when another
            /// thread says so.
            #[must_use]
            pub const fn cancelled_by(&self, cancel: &'static ::pecan_service::Cancel) -> Self {
                Self { channel: self.channel.cancelled_by(cancel) }
            }

            #(#calls)*
        }

        #(#docs)*
        ///
        /// This hands calls to a server.
        #[derive(Debug)]
        #vis struct #dispatch;

        impl<S: #service> ::pecan_service::Dispatch<S> for #dispatch {
            const METHODS: &'static [(u8, &'static [::pecan_service::Method])] = &[(0, #client::METHODS)];

            #[inline]
            fn dispatch(
                __server: &mut S,
                __caller: ::pecan_service::Caller,
                __question: &::pecan_service::__pecan::LongMessage,
                __replies: &mut ::pecan_service::Replies,
                __answer: &mut ::pecan_service::Writer,
            ) -> ::core::result::Result<::pecan_service::Answered, ::pecan_service::Refusal> {
                let mut __reader = ::pecan_service::Reader::new(__question.words());
                match __question.label() {
                    #(#arms)*
                    _ => ::core::result::Result::Err(::pecan_service::Refusal::NoSuchMethod { version: #version }),
                }
            }

            fn gone(server: &mut S, place: usize) {
                #service::gone(server, place);
            }

            fn given_up(server: &mut S, place: usize) {
                #service::given_up(server, place);
            }
        }

        #(#proofs)*
    };
    item.items.push(syn::parse_quote! {
        /// The client in a place is gone: what is owed to it need not be kept.
        fn gone(&mut self, place: usize) {
            let _ = place;
        }
    });
    item.items.push(syn::parse_quote! {
        /// The client in a place has given up its call: what is owed to it need not be kept.
        fn given_up(&mut self, place: usize) {
            let _ = place;
        }
    });
    quote! { #item #generated }
}

/// The most words that an argument takes.
fn words(Argument { ty, max, .. }: &Argument) -> TokenStream {
    match max {
        Some(max) => quote_spanned!(ty.span() => ::pecan_service::words_of(#max)),
        None => quote_spanned!(ty.span() => <#ty as ::pecan_service::Bounded>::WORDS),
    }
}

/// That arguments and answer fit into messages; an error points at the method.
fn proof(method: &Method) -> TokenStream {
    let words: Vec<_> = method.arguments.iter().map(words).collect();
    let returns = &method.returns;
    let answer = quote_spanned!(returns.span() => <#returns as ::pecan_service::Bounded>::WORDS);
    let text = format!(
        "the arguments of `{}` do not fit into a message, which has 120 words of 8 bytes",
        method.name
    );
    let answer_text = format!(
        "the answer of `{}` does not fit into a message, which has 120 words of 8 bytes",
        method.name
    );
    quote_spanned! { method.name.span() =>
        const _: () = {
            let words: &[usize] = &[#(#words),*];
            assert!(::pecan_service::sum(words) <= ::pecan_service::WORDS_MAX, #text);
        };
        const _: () = assert!(::pecan_service::sum(&[#answer]) <= ::pecan_service::WORDS_MAX, #answer_text);
    }
}

/// A client's method.
fn call(Method { name, docs, arguments, returns, number, .. }: &Method) -> TokenStream {
    let parameters = arguments.iter().map(|Argument { name, ty, .. }| quote!(#name: #ty));
    let check = arguments.iter().filter_map(|Argument { name, max, .. }| {
        let max = max.as_ref()?;
        Some(quote! {
            if ::pecan_service::Unbounded::as_bytes(&#name).len() > #max {
                return ::core::result::Result::Err(::pecan_service::CallError::TooLong);
            }
        })
    });
    // Bytes at the end are copied once, when the message is sent.
    let (written, tail) = match arguments.split_last() {
        Some((last, others)) if last.max.is_some() => (others, Some(&last.name)),
        _ => (&arguments[..], None),
    };
    let encode = written
        .iter()
        .map(|Argument { name, .. }| quote!(::pecan_service::Wire::encode(&#name, &mut __writer);));
    let send = match tail {
        Some(name) => quote! {
            self.channel.call_with::<#returns>(&__writer, ::pecan_service::Unbounded::as_bytes(&#name))
        },
        None => quote!(self.channel.call::<#returns>(&__writer)),
    };
    quote! {
        #(#docs)*
        #[inline]
        pub fn #name(&self, #(#parameters),*) -> ::core::result::Result<#returns, ::pecan_service::CallError> {
            #[allow(unused_mut)]
            let mut __writer = ::pecan_service::Writer::new(#number);
            #(#check)*
            #(#encode)*
            #send
        }
    }
}

/// What the dispatcher does for a method.
fn arm(service: &Ident, Method { name, arguments, later, number, .. }: &Method) -> TokenStream {
    let names: Vec<_> = arguments.iter().map(|a| &a.name).collect();
    let decode = arguments.iter().map(|Argument { name, max, ty }| {
        let check = max.as_ref().map(|max| {
            quote! {
                if ::pecan_service::Unbounded::as_bytes(&#name).len() > #max {
                    return ::core::result::Result::Err(::pecan_service::Refusal::Garbled);
                }
            }
        });
        quote! {
            let ::core::option::Option::Some(#name) = <#ty as ::pecan_service::Wire<'_>>::decode(&mut __reader) else {
                return ::core::result::Result::Err(::pecan_service::Refusal::Garbled);
            };
            #check
        }
    });
    let carry_out = if *later {
        quote! {
            let ::core::option::Option::Some(__later) = __replies.defer(__caller) else {
                return ::core::result::Result::Err(::pecan_service::Refusal::Busy);
            };
            #service::#name(__server, __caller, #(#names,)* __later);
            ::core::result::Result::Ok(::pecan_service::Answered::Later)
        }
    } else {
        quote! {
            let __value = #service::#name(__server, __caller, #(#names),*);
            ::pecan_service::Wire::encode(&__value, __answer);
            ::core::result::Result::Ok(::pecan_service::Answered::Now)
        }
    };
    quote! {
        #number => {
            #(#decode)*
            #carry_out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(attributes: &str, item: &str) -> (String, usize, usize) {
        let error = expand(attributes.parse().unwrap(), item.parse().unwrap()).expect_err("it is wrong");
        let start = error.span().start();
        (error.to_string(), start.line, start.column)
    }

    const NAMED: &str = "name = \"test\", version = 1";

    #[test]
    fn a_good_service_is_made() {
        let item = "pub trait Test {
            /// One.
            #[idempotent]
            fn one(&mut self, caller: Caller, #[max(3)] text: &str) -> u64;
            fn two(&mut self, caller: Caller, later: Later<u64>);
        }";
        let text = expand(NAMED.parse().unwrap(), item.parse().unwrap()).unwrap().to_string();
        for part in ["struct TestClient", "struct TestDispatch", "trait Test", "fn gone"] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("# [max") && !text.contains("# [idempotent"));
    }

    #[test]
    fn errors_point_at_what_is_wrong() {
        let cases = [
            ("trait T {\n  fn a(&self, c: Caller);\n}", "`&mut self, caller: Caller`", 2, 7),
            ("trait T {\n  fn a(&mut self, n: u64);\n}", "`&mut self, caller: Caller`", 2, 18),
            ("trait T {\n  fn a(&mut self);\n}", "`&mut self, caller: Caller`", 2, 5),
            ("trait T {\n  fn a(&mut self, c: Caller) {}\n}", "no body", 2, 29),
            ("trait T {\n\n  const A: u64;\n}", "methods", 3, 2),
            ("trait T {\n  fn gone(&mut self, c: Caller);\n}", "already", 2, 5),
            ("trait T {\n  fn a<X>(&mut self, c: Caller, x: X);\n}", "angle brackets", 2, 7),
            ("trait T {\n  fn a(&mut self, c: Caller, #[min(1)] x: &str);\n}", "#[max(N)]", 2, 29),
            ("trait T {\n  fn a(&mut self, c: Caller, l: Later<u8>, x: u8);\n}", "comes last", 2, 43),
            ("trait T {\n  fn a(&mut self, c: Caller, l: Later<u8>) -> u8;\n}", "returns nothing", 2, 46),
            ("trait T {\n  fn a(&mut self, c: Caller, (x, y): u8);\n}", "has a name", 2, 29),
            ("trait T<X> {\n}", "no parameters", 1, 8),
        ];
        for (item, what, line, column) in cases {
            let (text, at_line, at_column) = error(NAMED, item);
            assert!(text.contains(what), "{item}: {text}");
            assert_eq!((at_line, at_column), (line, column), "{item}: {text}");
        }
    }

    #[test]
    fn equal_numbers_are_refused() {
        let (text, line, _) =
            error(NAMED, "trait T {\n fn a(&mut self, c: Caller);\n fn a(&mut self, c: Caller, n: u64);\n}");
        assert!(text.contains("same number"), "{text}");
        assert_eq!(line, 3);
    }

    #[test]
    fn name_and_version_are_needed() {
        assert!(error("version = 1", "trait T {}").0.contains("name"));
        assert!(error("name = \"t\"", "trait T {}").0.contains("version"));
        assert!(error("name = \"t\", version = 1, x = 2", "trait T {}").0.contains("nothing else"));
    }
}
