package harness

/** One build: its job, its agent, what it was given and what it left. */
class Build {
    String job = 'shop/cart'
    File folder                       // everything of this build
    File home                         // of the agent, shared by builds
    File jobFolder                    // the job's workspace, shared by its builds
    Map<String, String> agent = [:]   // variables that the agent has
    Map<String, String> global = [:]  // variables of job, folder or controller
    Map<String, Object> credentials = [:]
    Map<String, Object> started = [:] // parameters given by whoever started it
    Map<String, Object> params = [:]
    Map<String, String> jobParameters = [:] // one-value parameters that stand in the job's configuration
    List<Map> declared = []           // the parameters that its Jenkinsfile declares
    String restartedFrom              // the stage that somebody restarted it from
    Set<String> plugins = [] as Set   // what the controller has beside what it needs
    String workspaceName = 'workspace'
    boolean isDiskFull = false        // of the controller: it archives nothing and saves no build
    List<String> shell = ['sh']       // what the agent calls sh
    List<String> unknown = []         // declared parameters that the job does not know yet
    boolean firstRun = true           // of the job: parameters are not in the environment
    Map<String, String> assigned = [:]
    RunWrapper run = new RunWrapper(number: 1, displayName: '#1')
    List frames = []
    List<String> log = []
    List<Request> steps = []
    List<String> libraries = []
    List<String> shells = []          // labels, in the order in which they ran
    List<String> locks = []
    int nodes = 0                     // how often an executor was taken
    Object scm
    boolean skipsCheckout
    Closure answer                    // to `input`: returns the submitter, or throws
    Closure beforeStep                // called with each step: for what others do meanwhile
    String abortOn                    // label of the shell that is aborted once it says so
    Throwable failure
    Set<String> secrets = [] as Set
    List<String> harnessErrors = []

    File getWorkspace() { new File(jobFolder, workspaceName) }

    File getArtifacts() { new File(folder, 'archive') }

    String getText() { log.join('\n') }

    void say(String line) {
        String masked = line
        frames.findAll { it.kind == 'secrets' }.each { frame ->
            frame.values.each { masked = masked.replace(it, '****') }
        }
        log << masked
    }

    /** The variables that pipeline and shell see; parameters only from the second run on. */
    Map<String, String> environment() {
        List names = job.tokenize('/')
        Map<String, String> all = [
            JOB_NAME: job, JOB_BASE_NAME: names.last(), BUILD_NUMBER: "${run.number}".toString(),
            BUILD_ID: "${run.number}".toString(), BUILD_TAG: "jenkins-${job.replace('/', '-')}-${run.number}".toString(),
        ]
        all.putAll(jobParameters)
        all.putAll(global)  // a variable of the controller wins over a job's parameter
        if (global.JENKINS_URL) {
            all.JOB_URL = global.JENKINS_URL + names.collect { "job/${URLEncoder.encode(it, 'UTF-8')}/" }.join('')
            all.BUILD_URL = all.JOB_URL + "${run.number}/"
        }
        if (!firstRun) {
            params.each { name, value -> if (!jobParameters.containsKey(name) && !(name in unknown)) { all[name] = value.toString() } }
        }
        all.putAll(assigned)
        frames.each { frame ->
            if (frame.kind == 'node') {
                all.putAll(NODE_NAME: 'agent-1', WORKSPACE: workspace.path, WORKSPACE_TMP: workspace.path + '@tmp')
            }
            if (frame.kind in ['env', 'secrets']) {
                all.putAll(frame.env)
            }
        }
        return all
    }

    boolean hasNode() { frames.any { it.kind == 'node' } }

    File directory() {
        if (!hasNode()) {
            throw new AbortException('Required context class hudson.FilePath is missing\n' +
                'Perhaps you forgot to surround the step with a step that provides this, such as: node')
        }
        File found = workspace
        frames.each { if (it.kind == 'dir') { found = resolve(found, it.path) } }
        return found
    }

    File file(String path) { resolve(directory(), path) }

    static File resolve(File parent, String path) { path.startsWith('/') ? new File(path) : new File(parent, path) }

    List<String> archived() {
        List<String> found = []
        if (artifacts.exists()) {
            artifacts.eachFileRecurse { if (it.isFile()) { found << artifacts.toPath().relativize(it.toPath()).toString() } }
        }
        return found.sort()
    }

    /** What base64 makes of a secret, whatever stands before and behind it. */
    private static List<String> base64(String secret) {
        (0..2).collect { before ->
            byte[] bytes = ('x' * before + secret).bytes
            String text = bytes[0..<(bytes.length - bytes.length % 3)].toArray(new Byte[0]).encodeBase64().toString()
            text.substring(before == 0 ? 0 : 4)
        }
    }

    /** Where a secret, or a usual encoding of it, turned up. */
    List<String> leaks() {
        List<String> needles = secrets.collectMany { secret ->
            [secret, URLEncoder.encode(secret, 'UTF-8')] + base64(secret)
        }.unique()
        List<String> found = []
        needles.each { needle ->
            if (text.contains(needle)) { found << "log: ${needle}" }
            [folder, jobFolder, home].unique().each { root ->
                root.eachFileRecurse { file ->
                    if (file.isFile() && !file.path.contains('/.git/') && file.getText('ISO-8859-1').contains(needle)) {
                        found << "${file}: ${needle}"
                    }
                }
            }
        }
        return found*.toString().unique()
    }
}
