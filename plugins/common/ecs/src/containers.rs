//! Containers of tasks as containers of pods.

/// The name of a container in the pod: its own where that is a DNS label, and not what another one may be called instead.
pub fn name_in_pod(index: usize, name: &str) -> String {
    let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = !name.is_empty() && name.len() <= 63 && name.bytes().all(label);
    let given = name.strip_prefix("container-").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
    match fits && !given && !name.starts_with('-') && !name.ends_with('-') {
        true => name.to_owned(),
        false => format!("container-{index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_containers_have_one_name() {
        let names = |of: &[&str]| of.iter().enumerate().map(|(n, name)| name_in_pod(n, name)).collect::<Vec<_>>();
        assert_eq!(
            names(&["App_1", "container-0", "db", "container-x"]),
            ["container-0", "container-1", "db", "container-x"]
        );
    }
}
