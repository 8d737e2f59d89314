//! Every metric family, declared once: its name, type, help and labels.

pub(crate) mod cloudflare;
pub(crate) mod exporter;

/// Declares families as constants, and the list of them all for the tests, which compare it with `/metrics`, with the
/// golden file and with the manual.
macro_rules! families {
    ($(#[$list_doc:meta])* $list:ident
     $($(#[$doc:meta])* pub(crate) const $name:ident: Family<$labels:literal> = $family:expr;)+) => {
        $(#[$list_doc])*
        pub const $list: [$crate::metrics::encode::Declaration; [$(stringify!($name)),+].len()] =
            [$($name.declaration()),+];
        $($(#[$doc])* pub(crate) const $name: Family<$labels> = $family;)+
    };
}
use families;
