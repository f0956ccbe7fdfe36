//! Ports for programs that cannot choose a free one and print it.

use tokio::net::TcpSocket;

/// A port that the system assigns to no other program. A program that is given the number can listen on it.
pub struct ReservedPort {
    number: u16,
    /// Bound but never listening: the system does not assign the port again, and refuses connections to it.
    _socket: TcpSocket,
}

impl ReservedPort {
    #[must_use]
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // The program listens with the same option, so both can use the port.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { number: socket.local_addr().unwrap().port(), _socket: socket }
    }

    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl Default for ReservedPort {
    fn default() -> Self {
        Self::new()
    }
}
