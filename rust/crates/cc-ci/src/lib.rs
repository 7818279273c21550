//! What Drone's step and a person call.
