//! Who holds which socket.
