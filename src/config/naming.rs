//! How users are named, as a setting says it.

use std::path::{Path, PathBuf};

use super::error::{Error, Mistakes};
use super::sources::{Layers, Setting};
use super::yaml::Document;
use super::{IdentityPolicy, keys, parse, secret_files};

/// How the metrics name users, as it is declared.
pub(super) enum Naming {
    Id,
    Email,
    None,
    Hash(KeyFile),
}

/// The file with the key for hashes.
pub(super) struct KeyFile {
    setting: Setting,
    path: PathBuf,
    /// The directory of the configuration file.
    directory: PathBuf,
}

impl Naming {
    /// How `setting` says that users are named. `words` are those that it may have.
    pub(super) fn of(
        layers: &Layers,
        setting: &Setting,
        words: &str,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let file = layers.get(keys::HASH_KEY_FILE);
        let path = mistakes.note(file.as_ref().map(parse::path).transpose());
        match setting.text.as_str() {
            "id" => Some(Self::Id),
            "email" => Some(Self::Email),
            "none" => Some(Self::None),
            "hash" => match (file, path?) {
                (Some(setting), Some(path)) => {
                    let directory = layers.document.as_ref().map_or(Path::new(""), Document::directory);
                    Some(Self::Hash(KeyFile { setting, path, directory: directory.to_owned() }))
                }
                _ => {
                    if !layers.is_misspelled(keys::HASH_KEY_FILE) {
                        mistakes.add(setting.refuse("is hash, but users.hash_key_file is not set"));
                    }
                    None
                }
            },
            _ => {
                mistakes.add(setting.must_be(words));
                None
            }
        }
    }

    /// The policy; for hashes, with the key from its file.
    ///
    /// # Errors
    /// The file has no usable key.
    pub(super) fn policy(self) -> Result<IdentityPolicy, Error> {
        Ok(match self {
            Self::Id => IdentityPolicy::Id,
            Self::Email => IdentityPolicy::Email,
            Self::None => IdentityPolicy::None,
            Self::Hash(KeyFile { setting, path, directory }) => {
                let key = secret_files::hash_key(&path)
                    .map_err(|error| secret_files::unusable(&setting, &path, &directory, &error))?;
                IdentityPolicy::Hash { key }
            }
        })
    }

    /// A warning if every user of this machine may read the key.
    pub(super) fn warning(&self) -> Option<String> {
        secret_files::readable_by_all(self.key_file()?)
    }

    /// The file with the key for hashes, if users are named by a hash.
    pub(super) fn key_file(&self) -> Option<&Path> {
        match self {
            Self::Hash(file) => Some(&file.path),
            Self::Id | Self::Email | Self::None => None,
        }
    }
}
