//! Types of kernel objects: what makes those of an architecture, from the list of its own.

/// What an object type of an architecture is for, where it is a part of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paging {
    /// A frame that an entry of a page table of this level maps; level 0 is the lowest.
    Frame {
        /// The level.
        level: u8,
    },
    /// A page table of this level; the highest is that of the root.
    Table {
        /// The level.
        level: u8,
    },
    /// A page table whose level is that at which it is mapped.
    AnyTable,
}

/// Defines `ObjectType`: the types that every architecture has, and those listed, each with what it is and log2 of its size.
macro_rules! object_types {
    ($($(#[$meta:meta])* $Type:ident = $number:literal: $paging:expr, $bits:expr;)+) => {
        use crate::object::Paging;

        word_enum! {
            /// The type of a kernel object, as the parameter of a retype. The first seven are the same on every
            /// architecture.
            pub enum ObjectType {
                /// Memory not yet given a type; of any power of two.
                Untyped = 0,
                /// A thread.
                Tcb = 1,
                /// An endpoint.
                Endpoint = 2,
                /// A notification.
                Notification = 3,
                /// A table of capabilities; the size parameter is log2 of the number of slots.
                CNode = 4,
                /// A scheduling context; the size parameter is log2 of its bytes.
                SchedContext = 5,
                /// A reply object.
                Reply = 6,
                $($(#[$meta])* $Type = $number,)+
            }
        }

        impl ObjectType {
            /// What an object of the architecture is; `None` of the types that every architecture has.
            #[inline(always)]
            pub const fn paging(self) -> Option<Paging> {
                match self {
                    Self::Untyped
                    | Self::Tcb
                    | Self::Endpoint
                    | Self::Notification
                    | Self::CNode
                    | Self::SchedContext
                    | Self::Reply => None,
                    $(Self::$Type => Some($paging),)+
                }
            }

            /// log2 of the bytes of an object of the architecture; `None` of the types that every architecture has.
            pub const fn paging_bits(self) -> Option<u32> {
                match self {
                    Self::Untyped
                    | Self::Tcb
                    | Self::Endpoint
                    | Self::Notification
                    | Self::CNode
                    | Self::SchedContext
                    | Self::Reply => None,
                    $(Self::$Type => Some($bits),)+
                }
            }
        }
    };
}
