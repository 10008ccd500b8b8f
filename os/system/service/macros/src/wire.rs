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
            for variant in &data.variants {
                if !matches!(variant.fields, Fields::Unit) {
                    return Err(Error::new(
                        variant.span(),
                        "the variants of an enumeration that travels have no data",
                    ));
                }
                if variant.discriminant.is_none() {
                    return Err(Error::new(variant.span(), "a variant that travels has a number: `= N`"));
                }
            }
            let variants: Vec<_> = data.variants.iter().map(|v| &v.ident).collect();
            (
                quote!(1),
                quote!(to.word(*self as u64);),
                quote! {
                    let number = from.word()?;
                    #(if number == Self::#variants as u64 {
                        return ::core::option::Option::Some(Self::#variants);
                    })*
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_point_at_what_is_wrong() {
        let cases = [
            ("struct A<T> {\n x: T }", "no parameters", 1),
            ("struct A(u8);", "have names", 1),
            ("enum A {\n B(u8),\n}", "no data", 2),
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
    }
}
