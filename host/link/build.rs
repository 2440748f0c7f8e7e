//! Code for the protocol.

fn main() -> std::io::Result<()> {
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_protos(&["proto/link.proto"], &["proto"])
}
