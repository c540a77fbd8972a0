//! The automaton driven without sockets.
