//! `#[derive(Wire)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Result, spanned::Spanned};

pub fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = syn::parse2(item)?;
    if let Some(parameter) = item.generics.params.first() {
        return Err(Error::new(parameter.span(), "a value that travels in messages has no parameters"));
    }
    let name = &item.ident;
    let (words, encode, decode) = match &item.data {
        Data::Struct(data) => {
            let Fields::Named(fields) = &data.fields else {
                return Err(Error::new(name.span(), "the fields of a structure that travels have names"));
            };
            let names: Vec<_> = fields.named.iter().filter_map(|f| f.ident.as_ref()).collect();
            let types: Vec<_> = fields.named.iter().map(|f| &f.ty).collect();
            (
                quote!(0 #(+ <#types as ::pecan_service::Bounded>::WORDS)*),
                quote!(#(::pecan_service::Wire::encode(&self.#names, to);)*),
                quote! {
                    ::core::option::Option::Some(Self {
                        #(#names: <#types as ::pecan_service::Wire<'m>>::decode(from)?,)*
                    })
                },
            )
        }
        Data::Enum(data) => {
            let variants = data.variants.iter().map(Variant::of).collect::<Result<Vec<_>>>()?;
            let words = variants.iter().map(|v| &v.words);
            let encoders = variants.iter().map(|v| &v.encode);
            let decoders = variants.iter().map(|v| &v.decode);
            (
                quote!(1 + ::pecan_service::most(&[#(#words),*])),
                quote!(match self { #(#encoders)* }),
                quote! {
                    let number = from.word()?;
                    #(#decoders)*
                    ::core::option::Option::None
                },
            )
        }
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span(),
                "a union does not travel: nobody knows what it is",
            ));
        }
    };
    Ok(quote! {
        impl ::pecan_service::Bounded for #name {
            const WORDS: usize = #words;
        }

        impl<'m> ::pecan_service::Wire<'m> for #name {
            #[inline]
            fn encode(&self, to: &mut ::pecan_service::Writer) {
                #encode
            }

            #[inline]
            fn decode(from: &mut ::pecan_service::Reader<'m>) -> ::core::option::Option<Self> {
                #decode
            }
        }
    })
}

/// A variant of an enumeration: its number travels, and then its fields.
struct Variant {
    words: TokenStream,
    encode: TokenStream,
    decode: TokenStream,
}

impl Variant {
    fn of(variant: &syn::Variant) -> Result<Self> {
        let name = &variant.ident;
        let Some((_, number)) = &variant.discriminant else {
            return Err(Error::new(variant.span(), "a variant that travels has a number: `= N`"));
        };
        let fields = match &variant.fields {
            Fields::Unit => Vec::new(),
            Fields::Named(fields) => fields.named.iter().collect(),
            Fields::Unnamed(_) => {
                return Err(Error::new(variant.span(), "the fields of a variant that travels have names"));
            }
        };
        let names: Vec<_> = fields.iter().filter_map(|f| f.ident.as_ref()).collect();
        let types: Vec<_> = fields.iter().map(|f| &f.ty).collect();
        Ok(Self {
            words: quote!(0 #(+ <#types as ::pecan_service::Bounded>::WORDS)*),
            encode: quote! {
                Self::#name { #(#names),* } => {
                    to.word(#number);
                    #(::pecan_service::Wire::encode(#names, to);)*
                }
            },
            decode: quote! {
                if number == #number {
                    return ::core::option::Option::Some(Self::#name {
                        #(#names: <#types as ::pecan_service::Wire<'m>>::decode(from)?,)*
                    });
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_point_at_what_is_wrong() {
        let cases = [
            ("struct A<T> {\n x: T }", "no parameters", 1),
            ("struct A(u8);", "have names", 1),
            ("enum A {\n B(u8) = 1,\n}", "have names", 2),
            ("enum A {\n B = 1,\n C,\n}", "a number", 3),
            ("\nunion A { x: u8 }", "union", 2),
        ];
        for (item, what, line) in cases {
            let error = expand(item.parse().unwrap()).expect_err(item);
            assert!(error.to_string().contains(what), "{item}: {error}");
            assert_eq!(error.span().start().line, line, "{item}");
        }
    }

    #[test]
    fn structures_and_numbers_travel() {
        assert!(expand("struct A { x: u8, y: u64 }".parse().unwrap()).is_ok());
        assert!(expand("enum A { X = 0, Y = 7 }".parse().unwrap()).is_ok());
        assert!(expand("#[repr(u64)] enum A { X { y: u8, z: u64 } = 0, Y = 7 }".parse().unwrap()).is_ok());
    }
}
