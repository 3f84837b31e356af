package harness

/** `sh` as Jenkins runs it: `sh -xe` on a script file, output and trace in the log, the variables expanded once more. */
class Shell {
    final Build build
    final File arguments

    Shell(Build build) {
        this.build = build
        this.arguments = new File(build.folder, 'arguments')
    }

    Object run(Map options) {
        String label = options.label ?: 'sh'
        build.shells << label
        File scratch = new File(build.workspace.path + '@tmp', "durable-${UUID.randomUUID()}")
        scratch.mkdirs()
        File script = new File(scratch, 'script.sh')
        script.text = options.script
        File directory = build.directory()
        directory.mkdirs()
        ProcessBuilder builder = new ProcessBuilder(build.shell + ['-xe', script.path]).directory(directory)
        builder.environment().clear()
        builder.environment().putAll(processEnvironment())
        File output = new File(scratch, 'output')
        builder.redirectError(options.returnStdout ? new File(scratch, 'trace') : output)
        builder.redirectOutput(output)
        builder.redirectErrorStream(!options.returnStdout)
        int status
        boolean aborted
        Process process = builder.start()
        Thread watcher = Thread.startDaemon { watch(process.toHandle()) }
        try {
            aborted = build.abortOn == label && abort(process)
            status = process.waitFor()
        } finally {
            watcher.join()
            String text = output.text
            scratch.deleteDir()
            if (!options.returnStdout) { text.readLines().each { build.say(it) } }
            options.text = text
        }
        if (aborted) {
            build.run.result = 'ABORTED'
            throw new FlowInterruptedException('aborted by a user')
        }
        if (options.returnStatus) { return status }
        if (status != 0) { throw new AbortException("script returned exit code ${status}") }
        return options.returnStdout ? options.text : null
    }

    /** Jenkins sends SIGTERM to every process of the build, children first. */
    private boolean abort(Process process) {
        File ready = new File(build.home, 'paused')
        long end = System.currentTimeMillis() + 120_000
        while (!ready.exists()) {
            if (!process.isAlive() || System.currentTimeMillis() > end) {
                throw new HarnessError("the shell '${build.abortOn}' never came to its pause")
            }
            sleep(5)
        }
        long start = System.currentTimeMillis()
        List<ProcessHandle> all = [process.toHandle()] + process.toHandle().descendants().toArray().toList()
        all.reverse().each { it.destroy() }
        process.waitFor()
        build.log << "aborted after ${System.currentTimeMillis() - start} ms".toString()
        build.assigned.ABORT_MILLISECONDS = "${System.currentTimeMillis() - start}".toString()
        return true
    }

    /** Notes the argument lists of all processes that a script starts: what was started later and descends from it. */
    private void watch(ProcessHandle root) {
        Set<String> seen = [] as Set
        Set<Long> own = [root.pid()] as Set
        Set<Long> others = [] as Set
        while (root.isAlive()) {
            List<Long> later = new File('/proc').list().findAll { it.isLong() }*.toLong().findAll { it >= root.pid() && !(it in others) }
            later.sort().each { Long pid ->
                try {
                    (pid in own || parent(pid) in own ? own : others) << pid
                    if (pid in own) { note(pid, seen) }
                } catch (IOException ignored) { /* it has ended */ }
            }
            sleep(20)
        }
    }

    private static long parent(long pid) {
        new File("/proc/${pid}/stat").getText('ISO-8859-1').tokenize(')').last().tokenize(' ')[1].toLong()
    }

    private void note(long pid, Set<String> seen) {
        String line = new File("/proc/${pid}/cmdline").getText('ISO-8859-1').replace('\0', ' ')
        if (seen.add(line)) { arguments << line + '\n' }
    }

    /** Launching a process expands `$NAME` in values, by whatever is in the environment: secrets too. */
    private Map<String, String> processEnvironment() {
        Map<String, String> all = [PATH: System.getenv('PATH'), HOME: build.home.path, LANG: 'C.UTF-8'] + build.agent
        Map<String, String> own = build.environment()
        Map<String, String> result = all + own
        own.each { name, value ->
            result[name] = value.replaceAll(/\$([A-Za-z0-9_]+|\{[A-Za-z0-9_.]+\}|\$)/) { List<String> match ->
                String key = match[1].replaceAll(/[{}]/, '')
                key == '$' ? '$' : (result.containsKey(key) ? result[key] : match[0])
            }
        }
        result.entrySet().removeIf { it.value == null }
        return result
    }
}
