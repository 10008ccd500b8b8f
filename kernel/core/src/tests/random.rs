use crate::testing::*;
#[test]
fn placeholder() {
    World::new().check();
}
