package harness

/** What a scenario plays in: a bare manifests repository, an agent's home, jobs and their builds. */
class World {
    static final String OLD = 'docker.io/acme/cart:1.4.2@sha256:' + '1' * 64
    static final String NEW = 'docker.io/acme/cart:1.5.0@sha256:' + '2' * 64
    static final String NEXT = 'docker.io/acme/cart:1.6.0@sha256:' + '3' * 64
    static final Map SECRETS = [
        'git-bot': [username: 'bot', password: 'gp&a ss/w0rd+git'], 'jenkins-api': [username: 'jenkins-bot', password: '11a/pi+tok=en'],
        'hub': [username: 'acme', password: 'dckr_p@t/x+y='], 'registry': [username: 'push', password: 'r3g:istry pass+'],
        'cluster': [text: '{"kind": "Config", "apiVersion": "v1"}'],
    ]

    private static final String PYTHON = ['python3', '-c', 'import sys; print(sys.executable)'].execute().text.trim()

    final Controller controller
    final File folder
    final List<Build> builds = []
    Map extraSecrets = [:]            // further credentials, by id
    List<String> confidential = []    // further texts that must not turn up anywhere
    private final List<String> allowed = []
    private final List<Closure> closers = []

    World(Controller controller, File folder) {
        this.controller = controller
        this.folder = folder
    }

    File getHome() { new File(folder, 'agent/home') }

    /** Where all scenarios but those about its delivery have the command unpacked. */
    File getSharedHelper() { new File(folder.parentFile, 'helper') }

    File getTools() { new File(folder, 'agent/bin') }

    File getRemote() { new File(folder, 'manifests.git') }

    void prepare() {
        prepareAgent()
        prepareRepository()
    }

    void prepareAgent() {
        home.mkdirs()
        tools.mkdirs()
        tool('git', '''#!/bin/sh
printf '%s ' "$@" >>"@FOLDER@/git-arguments"; echo >>"@FOLDER@/git-arguments"
for word in "$@"; do
  if [ "$word" = "$PAUSE_GIT_AT" ]; then : >"@HOME@/paused"; sleep 20; fi
done
for word in "$@"; do
  if [ "$word" = "$PAUSE_GIT_AFTER" ]; then @GIT@ "$@"; : >"@HOME@/paused"; exec sleep 20; fi
done
exec @GIT@ "$@"
'''.replace('@FOLDER@', folder.path).replace('@HOME@', home.path).replace('@GIT@', 'which git'.execute().text.trim()))
        tool('docker', '#!/bin/sh\nexit 1\n')
        // The interpreter itself: what a version manager puts before it starts thirty processes each time.
        tool('python3', "#!/bin/sh\nexec '${PYTHON}' \"\$@\"\n")
    }

    private void prepareRepository() {
        File template = new File(folder.parentFile, 'manifests.git')
        if (!template.exists()) {
            git(folder, 'init', '-q', '--bare', '-b', 'main', remote.path)
            git(remote, 'config', 'uploadpack.allowFilter', 'true')
            commit('Begin', ['apps/cart/deployment.yaml': manifest('cart', 'acme/cart:1.4.2@sha256:' + '1' * 64),
                             'apps/payment/deployment.yaml': manifest('payment', 'acme/payment:2.0.0@sha256:' + '4' * 64)])
            ['cp', '-r', remote.path, template.path].execute().waitFor()
        } else {
            ['cp', '-r', template.path, remote.path].execute().waitFor()
        }
    }

    static String manifest(String name, String image) {
        return """\
# the ${name} service
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      containers:
        - name: server   # the only one
          image: ${image}
"""
    }

    /** A tool that builds nothing but notes its arguments, takes some time to succeed, and writes digests where it is told to. */
    void fakePodman(String digest, int failures = 0) {
        tool('podman', """\
#!/bin/sh
for word; do printf '%s\\n' "\$word"; done >>"${folder}/podman-arguments"; echo -- >>"${folder}/podman-arguments"
case \$1 in
  login) cat >"${folder}/podman-password"; printf secret >"\$REGISTRY_AUTH_FILE" ;;
  push)
    echo x >>"${folder}/podman-pushes"
    [ "\$(wc -l <"${folder}/podman-pushes")" -gt ${failures} ] || { echo 'connection reset' >&2; exit 125; }
    printf %s '${digest}' >"\$3"
    ;;
esac
""")
    }

    List<List<String>> podmanCalls() {
        new File(folder, 'podman-arguments').text.split('--\n(?=build|push|login|manifest|$)').findAll()*.readLines()*.findAll { it != '--' }
    }

    void tool(String name, String text) {
        File file = new File(tools, name)
        file.text = text
        file.executable = true
    }

    /** Commits files to the manifests repository, as somebody else. */
    String commit(String message, Map<String, String> files) {
        commitTo(remote, message, files)
        return tip()
    }

    /** A service's own repository, with a Dockerfile. */
    File source() {
        File found = new File(folder, 'cart.git')
        git(folder, 'init', '-q', '--bare', '-b', 'main', found.path)
        commitTo(found, 'Begin', [Dockerfile: 'FROM scratch\nARG GREETING\nCOPY hello /hello\n', hello: 'hello'])
        return found
    }

    void commitTo(File remote, String message, Map<String, String> files) {
        File clone = new File(folder, "clone-${UUID.randomUUID()}")
        git(folder, 'clone', '-q', remote.path, clone.path)
        files.each { path, text ->
            File file = new File(clone, path)
            file.parentFile.mkdirs()
            file.text = text
        }
        git(clone, 'add', '-A')
        git(clone, '-c', 'user.name=x', '-c', 'user.email=x@example.org', 'commit', '-q', '-m', message)
        git(clone, 'push', '-q', 'origin', 'HEAD:main')
        clone.deleteDir()
    }

    String git(File place, String... arguments) {
        Process process = (['git', '-C', place.path] + arguments.toList()).execute()
        StringBuilder out = new StringBuilder()
        StringBuilder err = new StringBuilder()
        process.waitForProcessOutput(out, err)
        if (process.exitValue() != 0) { throw new IllegalStateException("git ${arguments}: ${err}") }
        return out.toString()
    }

    /** Runs the command as somebody else would, on another machine, while a build of this world runs. */
    String command(String... arguments) {
        String helper = sharedHelper.listFiles().findAll { it.isDirectory() }.join(':')
        List words = ['env', '-u', 'JENKINS_URL', "PYTHONPATH=${helper}", PYTHON, '-m', 'gitops_rollback'] + arguments.toList() +
            ['--repository', remote.path, '--store', "directory:${folder}/others"]
        Process process = words*.toString().execute()
        StringBuffer out = new StringBuffer()
        process.waitForProcessOutput(out, out)
        if (process.exitValue() != 0) { throw new IllegalStateException("${arguments}: ${out}") }
        return out.toString()
    }

    String tip() { git(remote, 'rev-parse', 'main').trim() }

    String read(String path) { git(remote, 'show', "main:${path}") }

    String message(String revision = 'main') { git(remote, 'log', '-1', '--format=%B', revision) }

    String image(String service = 'cart') {
        (read("apps/${service}/deployment.yaml") =~ /image: (\S+)/)[0][1]
    }

    Map state(String service = 'cart', String environment = 'default') {
        new groovy.json.JsonSlurperClassic().parseText(read(".gitops-rollback/${environment}/${service}.json")) as Map
    }

    /** A build of one script, run to its end. */
    Build build(Map options = [:], String text) {
        Build build = new Build()
        build.job = options.job ?: 'shop/cart'
        int number = options.number ?: builds.count { it.job == build.job } + 1
        build.folder = new File(folder, "builds/${builds.size() + 1}")
        build.folder.mkdirs()
        build.home = home
        build.jobFolder = new File(folder, "jobs/${build.job.replace('/', '_')}")
        build.jobFolder.mkdirs()
        build.firstRun = options.containsKey('firstRun') ? options.firstRun : number == 1
        build.run.number = number
        build.run.displayName = "#${number}"
        build.run.causes = options.causes ?: [[_class: 'hudson.model.Cause$UserIdCause', shortDescription: 'Started by user Jane', userId: 'jane', userName: 'Jane']]
        build.run.upstreamBuilds = options.upstreamBuilds ?: []
        build.global = ([JENKINS_URL: 'http://127.0.0.1:9/', GITOPS_REPOSITORY: remote.path, GITOPS_REPORT: 'false'] + (options.env ?: [:])).collectEntries { k, v -> [(k): v.toString()] }
        build.agent = [PATH: "${tools}:${System.getenv('PATH')}".toString(), GITOPS_HELPER_HOME: sharedHelper.path] + (options.agent ?: [:])
        build.credentials = SECRETS + extraSecrets
        build.secrets = (SECRETS.collect { it.value.password }.findAll() + confidential) as Set
        build.started = options.params ?: [:]
        build.answer = options.answer
        build.beforeStep = options.beforeStep
        build.abortOn = options.abortOn
        build.scm = options.scm
        build.jobParameters = options.jobParameters ?: [:]
        build.restartedFrom = options.restartedFrom
        build.plugins = (options.plugins ?: []) as Set
        build.unknown = options.unknown ?: []
        build.isDiskFull = options.isDiskFull ?: false
        build.shell = options.shell ?: ['sh']
        build.workspaceName = options.workspace ?: 'workspace'
        builds << build
        return controller.run(build, options.name ?: 'Script', text, options.containsKey('library') ? options.library : true)
    }

    /** One step in a node, as a pipeline would call it; what it returns is in the log as JSON. */
    Build step(Map options = [:], String call) {
        build(options, "node {\n echo('returned ' + groovy.json.JsonOutput.toJson(${call}))\n}\n")
    }

    Build jenkinsfile(Map options = [:], String name) {
        build([name: name, library: false] + options, new File(controller.root, name).getText('UTF-8'))
    }

    static Map returned(Build build) {
        String line = build.log.find { it.startsWith('returned ') }
        line ? new groovy.json.JsonSlurperClassic().parseText(line - 'returned ') as Map : null
    }

    /** What the build's description says, without its links. */
    static String title(Build build) {
        (build.run.description ?: '').readLines().findAll { !(it =~ /^(report|commit|pull request|record|again): /) }.join('; ')
    }

    /** What the build's description links, by what it is. */
    static Map links(Build build) {
        (build.run.description ?: '').readLines().collect { it =~ /^(report|commit|pull request|record|again): (.*)$/ }
            .findAll { it.find() }.collectEntries { [(it.group(1)): it.group(2)] }
    }

    /** The one error line of a failed build. */
    static String error(Build build) {
        List<String> found = build.log.findAll { it.startsWith('ERROR: ') }
        if (found.size() != 1) { throw new AssertionError("not one error line but ${found.size()}:\n${build.text}" as Object) }
        return found[0] - 'ERROR: '
    }

    static Object archived(Build build, String path) {
        new groovy.json.JsonSlurperClassic().parse(new File(build.artifacts, path))
    }

    /** The scenario expects the harness to say this. */
    void allow(String problem) { allowed << problem }

    void onClose(Closure closer) { closers << closer }

    void close() { closers.each { it.call() } }

    /** What is wrong whatever the scenario looked at. */
    String problems() {
        List<String> found = []
        builds.each { build ->
            found.addAll(build.harnessErrors.findAll { error -> !allowed.any { error.contains(it) } })
            found.addAll(build.leaks())
            File left = new File(build.workspace.path + '@tmp')
            if (left.isDirectory()) {
                found.addAll(left.list().findAll { it != 'gitops-rollback-helper' }.collect { "left on the agent: ${it}".toString() })
            }
        }
        ['git', 'podman'].collect { new File(folder, "${it}-arguments") }.findAll { it.exists() }.each { file ->
            SECRETS.values().findAll { it.password && file.text.contains(it.password) }.each { found << "a secret in ${file.name}".toString() }
        }
        allowed.findAll { word -> !builds.any { it.harnessErrors.any { error -> error.contains(word) } } }.each {
            found << "never said: ${it}".toString()
        }
        return found ? found.join('\n') : null
    }
}
