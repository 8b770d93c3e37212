//! Documents by name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::directory::{Directory, MAX_BYTES};
use crate::error::StoreError;
use crate::key::Key;
use crate::set_aside::SetAside;

/// The state of one site: a locked directory, or memory for a site that leaves nothing behind.
pub struct Store {
    /// Held over each whole operation: a write and a repair never meet in one file.
    place: Mutex<Place>,
    location: Option<Box<Path>>,
    set_aside: Mutex<Vec<SetAside>>,
    written: AtomicU64,
}

enum Place {
    Disk(Directory),
    Memory(BTreeMap<String, Vec<u8>>),
}

/// The document that says how the others are to be read.
const FORMAT: &str = "format";

/// The format of documents that this version knows. It rises where an earlier version would misread
/// what a later one has written.
const KNOWN: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

/// What a file holds.
enum Found<T> {
    Nothing,
    Good(T, Vec<u8>),
    /// Unusable and set aside.
    Torn(SetAside),
}

impl Store {
    /// Opens a state directory, made with mode 0700 where it is missing, and holds its lock.
    ///
    /// Files that are open to others are closed to them, leftovers of interrupted writes removed.
    /// Fails with [`StoreError::Locked`] where another process holds it.
    /// Fails with [`StoreError::Newer`] where a later version has written what this one does not know:
    /// nothing of it is touched.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let store = Self::new(Place::Disk(Directory::open(dir)?));
        let found = store.read::<Format>(FORMAT)?.map_or(0, |written| written.format);
        if found > KNOWN {
            return Err(StoreError::Newer { dir: dir.into(), found, known: KNOWN });
        }
        if found < KNOWN
            && let Err(error) = store.write(FORMAT, &Format { format: KNOWN })
        {
            // A full disk is no reason not to start.
            tracing::warn!(%error, "the format of the state is not noted");
        }
        Ok(store)
    }

    /// A store that lives as long as this value and touches no disk.
    pub fn in_memory() -> Self {
        Self::new(Place::Memory(BTreeMap::new()))
    }

    fn new(place: Place) -> Self {
        let location = match &place {
            Place::Disk(directory) => Some(directory.path().into()),
            Place::Memory(_) => None,
        };
        Self {
            place: Mutex::new(place),
            location,
            set_aside: Mutex::new(Vec::new()),
            written: AtomicU64::new(0),
        }
    }

    /// Reads a document; `None` where there is none, or where it was torn and is set aside now.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let key = Key::new(name)?;
        match self.place.lock().find(key, &key.file())? {
            Found::Good(value, _) => Ok(Some(value)),
            Found::Nothing => Ok(None),
            Found::Torn(torn) => {
                self.tell(torn);
                Ok(None)
            }
        }
    }

    /// Writes a document: once this returns, it is on the disk; when it fails, the old one is
    /// still whole.
    pub fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let key = Key::new(name)?;
        let bytes = encode(key, value)?;
        let result = self.place.lock().put(&key.file(), bytes);
        self.written.fetch_add(1, Ordering::Release);
        result
    }

    /// Reads a document that has a second copy, and mends whichever of both is bad.
    ///
    /// Gives `None` only where neither is usable.
    pub fn read_precious<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let key = Key::new(name)?;
        let mut place = self.place.lock();
        let first = place.find::<T>(key, &key.file())?;
        let second = place.find::<T>(key, &key.backup());
        let (value, bytes, mend, torn) = match (first, second) {
            (Found::Good(value, bytes), Ok(Found::Good(_, copy))) if copy == bytes => {
                return Ok(Some(value));
            }
            (Found::Good(value, bytes), Ok(Found::Torn(torn))) => {
                (value, bytes, key.backup(), Some(torn))
            }
            // A copy that can't be read is written anew, and telling why is the write's business.
            (Found::Good(value, bytes), _) => (value, bytes, key.backup(), None),
            (Found::Torn(torn), Ok(Found::Good(value, bytes))) => {
                (value, bytes, key.file(), Some(torn))
            }
            (Found::Nothing, Ok(Found::Good(value, bytes))) => (value, bytes, key.file(), None),
            (first, second) => {
                for torn in [first, second?].into_iter().filter_map(Found::torn) {
                    self.tell(torn);
                }
                return Ok(None);
            }
        };
        if let Some(torn) = torn {
            self.tell(SetAside { repaired: true, ..torn });
        }
        if let Err(error) = place.put(&mend, bytes) {
            tracing::warn!(state = name, %error, "the second copy could not be mended");
        }
        Ok(Some(value))
    }

    /// Writes a document and its second copy.
    ///
    /// When it fails, at least one of both is whole: the old document or the new one.
    pub fn write_precious<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let key = Key::new(name)?;
        let bytes = encode(key, value)?;
        let mut place = self.place.lock();
        self.written.fetch_add(1, Ordering::Release);
        place.put(&key.file(), bytes.clone())?;
        place.put(&key.backup(), bytes)
    }

    /// How often documents were written or removed: who keeps a copy elsewhere looks at it.
    pub fn writes(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// All documents as they are kept, by file name, without second copies.
    pub fn documents(&self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let place = self.place.lock();
        let files = match &*place {
            Place::Disk(directory) => directory.files()?,
            Place::Memory(documents) => return Ok(documents.clone()),
        };
        let mut documents = BTreeMap::new();
        for file in files.into_iter().filter(|file| Key::of_file(file).is_some()) {
            if let Place::Disk(directory) = &*place
                && let Some(bytes) = directory.read(&file)?
            {
                documents.insert(file, bytes);
            }
        }
        Ok(documents)
    }

    /// Removes a document and its second copy; one that is not there is removed already.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let key = Key::new(name)?;
        let mut place = self.place.lock();
        self.written.fetch_add(1, Ordering::Release);
        // The copy first: the other way round, a crash between would bring the document back.
        place.remove(&key.backup())?;
        place.remove(&key.file())
    }

    /// The names of all documents that start with `prefix`, in order; the note on their format is none.
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let files = match &*self.place.lock() {
            Place::Disk(directory) => directory.files()?,
            Place::Memory(documents) => documents.keys().cloned().collect(),
        };
        let mut names: Vec<String> = files
            .iter()
            .filter_map(|file| Key::of_file(file))
            .map(|key| key.as_str().to_owned())
            .filter(|name| name.starts_with(prefix) && name != FORMAT)
            .collect();
        names.sort();
        Ok(names)
    }

    /// The files set aside since the store was opened or this was last asked.
    pub fn set_aside(&self) -> Vec<SetAside> {
        std::mem::take(&mut *self.set_aside.lock())
    }

    /// The directory; `None` in memory.
    pub fn location(&self) -> Option<&Path> {
        self.location.as_deref()
    }

    fn tell(&self, torn: SetAside) {
        tracing::error!(state = torn.name, path = %torn.path.display(), why = torn.why, repaired = torn.repaired, "a state file was torn and is set aside");
        self.set_aside.lock().push(torn);
    }
}

impl<T> Found<T> {
    fn torn(self) -> Option<SetAside> {
        match self {
            Self::Torn(torn) => Some(torn),
            Self::Nothing | Self::Good(..) => None,
        }
    }
}

impl Place {
    fn find<T: DeserializeOwned>(&self, key: Key<'_>, file: &str) -> Result<Found<T>, StoreError> {
        let bytes = match self {
            Self::Disk(directory) => directory.read(file)?,
            Self::Memory(documents) => documents.get(file).cloned(),
        };
        let Some(bytes) = bytes else { return Ok(Found::Nothing) };
        match (decode(&bytes), self) {
            (Ok(value), _) => Ok(Found::Good(value, bytes)),
            (Err(why), Self::Disk(directory)) => {
                let path = directory.set_aside(file)?;
                Ok(Found::Torn(SetAside { name: key.as_str().into(), path, why, repaired: false }))
            }
            // Memory doesn't tear: the caller asks for another type than it wrote.
            (Err(_), Self::Memory(_)) => Ok(Found::Nothing),
        }
    }

    fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        match self {
            Self::Disk(directory) => directory.write(file, &bytes),
            Self::Memory(_) if bytes.len() as u64 > MAX_BYTES => {
                Err(StoreError::TooLarge { path: file.into() })
            }
            Self::Memory(documents) => {
                documents.insert(file.into(), bytes);
                Ok(())
            }
        }
    }

    fn remove(&mut self, file: &str) -> Result<(), StoreError> {
        match self {
            Self::Disk(directory) => directory.remove(file),
            Self::Memory(documents) => {
                documents.remove(file);
                Ok(())
            }
        }
    }
}

/// Every document ends with this, so that one cut anywhere is told from a whole one.
const END: u8 = b'\n';

fn encode<T: Serialize>(key: Key<'_>, value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| StoreError::Encode { name: key.as_str().into(), source })?;
    bytes.push(END);
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.last() {
        None => Err("it is empty".into()),
        Some(&END) => serde_json::from_slice(bytes).map_err(|error| why(&error)),
        Some(_) => Err(format!("it is cut off after {} bytes", bytes.len())),
    }
}

/// What is wrong, without a word of the content: it may be a key.
fn why(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "it doesn't fit this version of vand",
        _ => "it is no JSON",
    };
    format!("{what}, line {} column {}", error.line(), error.column())
}
