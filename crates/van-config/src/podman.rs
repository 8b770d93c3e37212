//! `[podman]`: where containers and pods are looked up.

use crate::api;
use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::shorten;

pub(crate) const SECTION: Section = Section {
    name: "podman",
    list: false,
    keys: &[
        Key::new("expose_labels", Kind::Flag),
        Key::new("sockets", Kind::Texts(api::socket, api::SOCKET, true)),
        Key::new("users", Kind::Texts(user, USER, true)),
    ],
    required: &[],
    whole: schema::fits,
};

const USER: &str = "a user's name or number";

fn user(text: &str, _: Option<&str>) -> Result<String, Problem> {
    if api::is_account(text) || text.parse::<u32>().is_ok() {
        return Ok(text.into());
    }
    let hint = format!("accepted: {USER}, letters, digits, '_', '-' and '.'");
    Err(Problem::new(format!("{:?} is no user", shorten(text)), hint))
}
