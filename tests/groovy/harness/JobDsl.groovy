package harness

/**
 * Runs a Job DSL script against the methods of its reference that are used here; any other fails.
 *
 * Job DSL itself is not on Maven Central. The names and nesting are those of its API viewer for the
 * plugins cloudbees-folder, workflow-job, git and matrix-auth.
 */
class JobDsl {
    /** What may stand in what; a leaf takes values, a block more calls. */
    static final Map<String, List<String>> BLOCKS = [
        folder: ['description', 'properties'], pipelineJob: ['description', 'parameters', 'properties', 'definition'],
        properties: ['authorizationMatrix', 'pipelineTriggers'], pipelineTriggers: ['triggers'], triggers: ['cron'], cron: ['spec'], authorizationMatrix: ['entries', 'inheritanceStrategy'], entries: ['user', 'group'],
        user: ['name', 'permissions'], group: ['name', 'permissions'], inheritanceStrategy: ['inheriting', 'nonInheriting', 'inheritingGlobal'],
        parameters: ['choiceParam', 'stringParam', 'booleanParam'], definition: ['cpsScm'], cpsScm: ['scm', 'scriptPath', 'lightweight'],
        scm: ['git'], git: ['remote', 'branch'], remote: ['url', 'credentials', 'name'],
    ]

    final Map<String, JobDslNode> jobs = [:]

    static Map<String, JobDslNode> run(File script, Map<String, String> environment) {
        JobDsl dsl = new JobDsl()
        Binding binding = new Binding()
        ['folder', 'pipelineJob'].each { kind ->
            binding.setVariable(kind, { String name, Closure body = null -> dsl.item(kind, name, body) })
        }
        String text = script.getText('UTF-8').replaceAll(/System\.getenv\('(\w+)'\)/) { all, name ->
            environment[name] == null ? 'null' : "'${environment[name]}'"
        }
        new GroovyShell(JobDsl.classLoader, binding).evaluate(text, 'jobs.groovy')
        return dsl.jobs
    }

    private JobDslNode item(String kind, String name, Closure body) {
        String parent = name.contains('/') ? name.substring(0, name.lastIndexOf('/')) : null
        if (parent != null && jobs[parent]?.kind != 'folder') { throw new HarnessError("${name}: there is no folder ${parent}") }
        jobs[name] = new JobDslNode(kind)
        if (body != null) { jobs[name].read(body) }
        return jobs[name]
    }
}
