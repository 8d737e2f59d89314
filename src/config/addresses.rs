//! Reads the addresses of the server, which must not take each other's port.

use super::error::{Mistakes, shown};
use super::sources::{Layers, Setting};
use super::{Sockets, keys, parse};
use crate::http::listen::{Listen, NotAnAddress};

/// What the server listens on.
pub(super) struct Addresses {
    pub(super) sockets: Sockets,
    /// The address of the health endpoints alone.
    pub(super) health: Option<Listen>,
}

impl Addresses {
    /// `None` if there are mistakes.
    pub(super) fn from_layers(layers: &Layers, mistakes: &mut Mistakes) -> Option<Self> {
        // The addresses are checked even if they are not used.
        let setting = layers.get_or_default(keys::LISTEN_ADDRESS);
        let addresses = mistakes.note(setting.parse(|list| each(list).collect()));
        let inherited = layers.get_or_default(keys::SYSTEMD_SOCKET);
        let sockets = parse::switch(&inherited, Some(Sockets::Systemd), addresses.map(Sockets::Bind));
        let sockets = mistakes.note(sockets).flatten();
        let health = layers.get(keys::HEALTH_ADDRESS);
        let health = mistakes.note(health.map(|it| it.parse(str::parse::<Listen>)).transpose());
        Some(Self { sockets: sockets?, health: health? })
    }
}

/// Adds a mistake for each address that cannot be bound because of another one. It matters only to what serves: `healthcheck` does
/// not need to know all addresses.
pub(super) fn refuse_overlaps(layers: &Layers, mistakes: &mut Mistakes) {
    if layers.get_or_default(keys::SYSTEMD_SOCKET).text == "true" {
        return;
    }
    // What cannot be read is reported where it is read. It does not hide what is wrong with the others.
    let setting = layers.get_or_default(keys::LISTEN_ADDRESS);
    let addresses: Vec<_> = each(&setting.text).flatten().collect();
    refuse_overlaps_of_list(&setting, &addresses, mistakes);
    if let Some(setting) = layers.get(keys::HEALTH_ADDRESS)
        && let Ok(health) = setting.text.parse()
    {
        refuse_overlap_of_health(&setting, &health, &addresses, mistakes);
    }
}

fn each(list: &str) -> impl Iterator<Item = Result<Listen, NotAnAddress>> {
    list.split(',').map(|address| address.trim().parse())
}

fn refuse_overlaps_of_list(setting: &Setting, addresses: &[Listen], mistakes: &mut Mistakes) {
    for (number, address) in addresses.iter().enumerate() {
        if let Some(earlier) = addresses.iter().take(number).find(|earlier| earlier.overlaps(address)) {
            let [earlier, address] = [earlier, address].map(|address| shown(&address.to_string()));
            let problem = match earlier == address {
                true => format!("has {address} twice"),
                false => format!("has {earlier} and {address}, which cannot be open at the same time"),
            };
            mistakes.add(setting.refuse(&problem));
        }
    }
}

fn refuse_overlap_of_health(
    setting: &Setting,
    health: &Listen,
    addresses: &[Listen],
    mistakes: &mut Mistakes,
) {
    if let Some(taken) = addresses.iter().find(|address| address.overlaps(health)) {
        let [health, taken] = [health, taken].map(|address| shown(&address.to_string()));
        let problem =
            format!("is {health}, but web.listen_address has {taken}; both cannot be open at the same time");
        mistakes.add(setting.refuse(&problem));
    }
}
