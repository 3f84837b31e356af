package harness

/** One call of a Job DSL script that has a block: what was called in it. */
class JobDslNode {
    final String kind
    final List<List> values = []
    final List<JobDslNode> inside = []

    JobDslNode(String kind) { this.kind = kind }

    void read(Closure body) {
        Closure own = body.rehydrate(this, body.owner, body.thisObject)
        own.resolveStrategy = Closure.DELEGATE_FIRST
        own.call()
    }

    Object methodMissing(String name, Object arguments) {
        List given = (arguments as Object[]).toList()
        if (!JobDsl.BLOCKS[kind].contains(name)) { throw new MissingMethodException(name, JobDslNode, arguments as Object[]) }
        if (given && given.last() instanceof Closure) {
            JobDslNode node = new JobDslNode(name)
            inside << node
            node.read(given.last())
            return node
        }
        values << [name] + given
        return null
    }

    Object value(String name) { values.find { it[0] == name }?.getAt(1) }

    JobDslNode find(String name) {
        for (node in inside) {
            JobDslNode found = node.kind == name ? node : node.find(name)
            if (found) { return found }
        }
        return null
    }

    List<JobDslNode> all(String name) { inside.findAll { it.kind == name } + inside.collectMany { it.all(name) } }
}
