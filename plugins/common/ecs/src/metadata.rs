//! Where a container asks about its task: which container the paths below `/v4/` mean.

/// The part of a path that names a container of a task, by its place in the task's definition. As on Fargate it begins with
/// the task's id; whoever knows it has nothing by it, for a task is known by its address.
pub fn id(task: &str, index: usize) -> String {
    format!("{task}-{index}")
}

/// The task and the place that an id names; none for what is no id.
pub fn parse(id: &str) -> Option<(&str, usize)> {
    let (task, index) = id.rsplit_once('-')?;
    let digits = index.len() <= 4 && index.bytes().all(|b| b.is_ascii_digit());
    let parsed = index.parse().ok().filter(|_| digits)?;
    // Of the same container there is one.
    (!task.is_empty() && self::id(task, parsed) == id).then_some((task, parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_a_task_and_a_container() {
        assert_eq!(parse(&id("0123456789abcdef", 12)), Some(("0123456789abcdef", 12)));
        for wrong in ["", "-0", "0123", "0123-", "0123-x", "0123-00", "0123-+1", "0123-99999"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
