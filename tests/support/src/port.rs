//! Ports for programs that cannot choose one and report it.

use tokio::net::TcpSocket;

/// A port of this machine that the system gives to no other program. A program that knows its number can listen on it.
pub struct ReservedPort {
    number: u16,
    /// Bound and never listening. The system passes over the port when it chooses one, and refuses connections to it.
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Reserves a free port.
    #[must_use]
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Programs listen with the same option, which lets both use the port.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { number: socket.local_addr().unwrap().port(), _socket: socket }
    }

    /// The port's number.
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
