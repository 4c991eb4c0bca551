"""Video and streams: frames in, frames out, tracks and sound between them."""
