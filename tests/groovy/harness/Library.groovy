package harness

/** What the library carries to an agent. */
class Library {
    /** Where its resources are: in the library, unless others are given. */
    static File resources(File root) {
        String given = System.getenv('GITOPS_TEST_RESOURCES')
        if (given) { return new File(given) }
        File own = new File(root, 'resources')
        if (!new File(own, 'io/github/gitopsrollback/helper.properties').isFile()) {
            throw new IllegalStateException('the library carries no helper: make helper')
        }
        return own
    }
}
