//! The declarations of all metric families.

pub(crate) mod cloudflare;
pub(crate) mod exporter;

/// Declares families as constants, and the list of all of them for the tests, which compare it with `/metrics`, the golden
/// files and the documentation.
macro_rules! families {
    ($(#[$list_doc:meta])* $list:ident
     $($(#[$doc:meta])* pub(crate) const $name:ident: Family<$labels:literal> = $family:expr;)+) => {
        $(#[$list_doc])*
        pub const $list: [$crate::metrics::family::Declaration; [$(stringify!($name)),+].len()] =
            [$($name.declaration()),+];
        $($(#[$doc])* pub(crate) const $name: Family<$labels> = $family;)+
    };
}
use families;
