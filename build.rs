//! Lets cargo notice newly built pages, and makes their folder, so that the daemon is also built where there are none.
fn main() -> std::io::Result<()> {
    const PAGES: &str = "web/widget/dist";
    std::fs::create_dir_all(PAGES)?;
    println!("cargo::rerun-if-changed={PAGES}");
    Ok(())
}
