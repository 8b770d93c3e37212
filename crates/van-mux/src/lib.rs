//! The multiplexer: many flows over one connection, as a pure state machine.
//!
//! A [`Session`] is one end of a connection. It takes frames ([`Session::receive`]) and time, and
//! says what to do ([`Event`]) and what to send ([`Session::take_control`], [`Session::next_turn`]).
//! It never holds a flow's bytes: to send, it says whose turn it is and how much may go
//! ([`Turn`]), and the caller reads just that from the flow's own source, so that what can't be
//! sent yet stays where it is; on receipt it hands the payload on and is told when the bytes have
//! left ([`Session::delivered`]), and only then grants more.
//!
//! Invariants: no runtime, socket, file or clock (time is an argument); nothing here stops reading
//! because one stream is slow; bad input is a [`ProtocolError`], never a panic.

mod bucket;
mod error;
mod frame;
mod hello;
mod open;
mod schedule;
mod session;
mod stream;
mod window;

pub use error::{GoAwayReason, ProtocolError, ResetCode};
pub use frame::{
    Deframer, FLAG_FIN, FLAG_MORE, Frame, FrameType, HEADER, Header, MAX_DATAGRAM, MAX_PAYLOAD,
    StreamId,
};
pub use hello::{DATAGRAMS, Hello, VERSION};
pub use open::{Accept, Class, HOP_LIMIT, Kind, MAX_OPEN, Open};
pub use schedule::Turn;
pub use session::{Config, Event, OpenError, Session, Side, Taken};
pub use window::Budget;
