//! Tokens that this site has issued: kept hashed until their expiry.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use van_model::SiteId;
use van_model::status::SiteRef;
use van_pki::{Secret, SecretHash};
use van_store::{Store, StoreError};

use crate::blocking::blocking;
use crate::clock;

/// The document that keeps the tokens.
pub(crate) const DOCUMENT: &str = "tokens";

/// Tokens at once; more are a mistake in a script.
const MAX_TOKENS: usize = 10_000;

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IssuedToken {
    pub(crate) hash: SecretHash,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) uses: u32,
    #[serde(default)]
    pub(crate) redeemed_by: Vec<SiteRef>,
    #[serde(default)]
    pub(crate) cost: Option<van_model::Cost>,
    /// Sites that were revoked when this token was there already: it never admits them. Kept here,
    /// not told from two times, since the clock may have been set between.
    #[serde(default)]
    pub(crate) barred: Vec<SiteId>,
}

impl IssuedToken {
    fn was_redeemed_by(&self, id: &SiteId) -> bool {
        self.redeemed_by.iter().any(|site| site.id == *id)
    }

    /// Whether it admits this site: a first time while there are uses left, again until it expires.
    fn admits(&self, id: &SiteId, now: Timestamp) -> bool {
        let has_room = self.redeemed_by.len() < self.uses as usize;
        let open = now < self.expires && !self.barred.contains(id);
        open && (has_room || self.was_redeemed_by(id))
    }
}

type Issued = BTreeMap<String, IssuedToken>;

/// All tokens that have not expired.
#[derive(Debug)]
pub(crate) struct TokenBook {
    /// Held while the tokens are changed; who reads does not wait for the disk.
    changing: Mutex<()>,
    issued: Mutex<Issued>,
}

/// Why a token can't be added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    #[error("there is a token of this name")]
    Exists,
    #[error("there are {MAX_TOKENS} tokens already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenBook {
    pub(crate) fn load(store: &Store) -> Result<Self, StoreError> {
        let issued = Mutex::new(store.read(DOCUMENT)?.unwrap_or_default());
        Ok(Self { changing: Mutex::default(), issued })
    }

    pub(crate) fn all(&self) -> Issued {
        self.issued.lock().clone()
    }

    pub(crate) fn add(
        &self,
        store: &Store,
        name: &str,
        token: IssuedToken,
    ) -> Result<(), AddError> {
        self.change(store, |issued| {
            if issued.len() >= MAX_TOKENS {
                return Err(AddError::TooMany);
            }
            if issued.contains_key(name) {
                return Err(AddError::Exists);
            }
            issued.insert(name.to_owned(), token);
            Ok(())
        })
    }

    /// Takes over the tokens that another replica keeps.
    pub(crate) fn adopt(&self, store: &Store, bytes: &[u8]) -> Result<(), String> {
        let fresh: Issued = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if *self.issued.lock() == fresh {
            return Ok(());
        }
        let adopted = self.change(store, |issued| {
            *issued = fresh;
            Ok::<(), StoreError>(())
        });
        adopted.map_err(|error| error.to_string())
    }

    /// Returns whether there was one.
    pub(crate) fn remove(&self, store: &Store, name: &str) -> Result<bool, StoreError> {
        self.change(store, |issued| Ok(issued.remove(name).is_some()))
    }

    /// Counts a use of the token that this secret opens, and keeps it before anything else is
    /// done: of two at once one wins. Every token is compared, so that time tells nothing.
    ///
    /// A site that is counted already is admitted again and not counted again: the answer to its
    /// first redemption may have been lost.
    pub(crate) fn redeem(
        &self,
        store: &Store,
        secret: &Secret,
        by: &SiteRef,
    ) -> Result<Option<String>, StoreError> {
        blocking(|| {
            let _changing = self.changing.lock();
            let (now, mut issued) = (clock::now(), self.all());
            let mut found = None;
            for (name, token) in &mut issued {
                let fits = token.hash.matches(secret) && token.admits(&by.id, now);
                if fits {
                    found = Some((name.clone(), token));
                }
            }
            let Some((name, token)) = found else { return Ok(None) };
            if !token.was_redeemed_by(&by.id) {
                token.redeemed_by.push(by.clone());
                store.write(DOCUMENT, &issued)?;
                *self.issued.lock() = issued;
            }
            Ok(Some(name))
        })
    }

    /// Makes all present tokens refuse a site for good, whether or not it redeemed one.
    pub(crate) fn bar(&self, store: &Store, site: SiteId) -> Result<(), StoreError> {
        if self.issued.lock().values().all(|token| token.barred.contains(&site)) {
            return Ok(());
        }
        self.change(store, |issued| {
            for token in issued.values_mut().filter(|token| !token.barred.contains(&site)) {
                token.barred.push(site);
            }
            Ok(())
        })
    }

    /// Drops expired tokens.
    pub(crate) fn drop_expired(&self, store: &Store) -> Result<(), StoreError> {
        if !self.has_expired() {
            return Ok(());
        }
        let now = clock::now();
        self.change(store, |issued| {
            issued.retain(|_, token| now < token.expires);
            Ok(())
        })
    }

    /// Whether any is over.
    pub(crate) fn has_expired(&self) -> bool {
        let now = clock::now();
        self.issued.lock().values().any(|token| now >= token.expires)
    }

    fn change<T, E: From<StoreError>>(
        &self,
        store: &Store,
        change: impl FnOnce(&mut Issued) -> Result<T, E>,
    ) -> Result<T, E> {
        blocking(|| {
            let _changing = self.changing.lock();
            let mut fresh = self.all();
            let result = change(&mut fresh)?;
            store.write(DOCUMENT, &fresh)?;
            *self.issued.lock() = fresh;
            Ok(result)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &Secret, uses: u32, seconds: i64) -> IssuedToken {
        let now = clock::now();
        let expires = now + jiff::SignedDuration::from_secs(seconds);
        IssuedToken {
            hash: secret.hash(),
            created: now,
            expires,
            uses,
            redeemed_by: vec![],
            cost: None,
            barred: vec![],
        }
    }

    fn site(byte: u8) -> SiteRef {
        SiteRef { id: SiteId::from_bytes([byte; 20]), name: format!("s{byte}") }
    }

    #[test]
    fn of_many_at_once_as_many_win_as_there_are_uses() {
        let store = Store::in_memory();
        let book = TokenBook::load(&store).unwrap();
        let secret = Secret::generate();
        book.add(&store, "t", token(&secret, 2, 60)).unwrap();
        let won: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|i| {
                    let (book, store, secret) = (&book, &store, &secret);
                    scope.spawn(move || book.redeem(store, secret, &site(i)).unwrap().is_some())
                })
                .collect();
            threads.into_iter().map(|t| usize::from(t.join().unwrap())).sum()
        });
        assert_eq!(won, 2);
        assert_eq!(book.all()["t"].redeemed_by.len(), 2);
    }

    #[test]
    fn a_site_whose_answer_was_lost_is_admitted_again_until_the_token_expires() {
        let store = Store::in_memory();
        let book = TokenBook::load(&store).unwrap();
        let secret = Secret::generate();
        book.add(&store, "t", token(&secret, 2, 60)).unwrap();
        for site in [site(1), site(1), site(2), site(1), site(2)] {
            assert_eq!(book.redeem(&store, &secret, &site).unwrap().as_deref(), Some("t"));
        }
        assert_eq!(book.all()["t"].redeemed_by, [site(1), site(2)]);
        assert_eq!(book.redeem(&store, &secret, &site(3)).unwrap(), None);
        assert_eq!(book.redeem(&store, &Secret::generate(), &site(1)).unwrap(), None);

        let mut old = token(&secret, 1, -1);
        old.redeemed_by.push(site(1));
        book.remove(&store, "t").unwrap();
        book.add(&store, "old", old).unwrap();
        assert_eq!(book.redeem(&store, &secret, &site(1)).unwrap(), None);
    }

    #[test]
    fn a_revoked_site_is_admitted_by_later_tokens_only() {
        let store = Store::in_memory();
        let book = TokenBook::load(&store).unwrap();
        let [redeemed, unused, fresh] = std::array::from_fn(|_| Secret::generate());
        // The clock said otherwise when it was made: what counts is that it was there.
        let ahead = Timestamp::from_second(4_000_000_000).unwrap();
        book.add(&store, "redeemed", IssuedToken { created: ahead, ..token(&redeemed, 5, 60) })
            .unwrap();
        book.add(&store, "unused", token(&unused, 5, 60)).unwrap();
        assert!(book.redeem(&store, &redeemed, &site(1)).unwrap().is_some());
        book.bar(&store, site(1).id).unwrap();
        let book = TokenBook::load(&store).unwrap();
        for old in [&redeemed, &unused] {
            assert_eq!(book.redeem(&store, old, &site(1)).unwrap(), None);
            assert!(book.redeem(&store, old, &site(2)).unwrap().is_some(), "others are admitted");
        }
        book.add(&store, "fresh", token(&fresh, 1, 60)).unwrap();
        assert_eq!(book.redeem(&store, &fresh, &site(1)).unwrap().as_deref(), Some("fresh"));
    }

    #[test]
    fn expired_unknown_and_removed_open_nothing() {
        let store = Store::in_memory();
        let book = TokenBook::load(&store).unwrap();
        let (old, gone) = (Secret::generate(), Secret::generate());
        book.add(&store, "old", token(&old, 1, -1)).unwrap();
        book.add(&store, "gone", token(&gone, 1, 60)).unwrap();
        assert!(book.remove(&store, "gone").unwrap() && !book.remove(&store, "gone").unwrap());
        for secret in [old, gone, Secret::generate()] {
            assert_eq!(book.redeem(&store, &secret, &site(1)).unwrap(), None);
        }
        book.drop_expired(&store).unwrap();
        assert!(book.all().is_empty());
    }
}
