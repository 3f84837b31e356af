package io.github.gitopsrollback

/**
 * What became of a command: done, nothing to do, a pull request that waits for its merge, or a failure.
 *
 * A failure is one line, with what to do in brackets; the whole result is archived beside it.
 */
class Outcome implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final int noImage = 4
    private final int moved = 5
    private final int refused = 6
    private final int waiting = 7

    /** @param run the step's run */
    Outcome(StepRun run) {
        this.run = run
    }

    /** Whether a command opened a pull request, and it is not merged. */
    boolean isWaiting(Map outcome) {
        return outcome.code == waiting && outcome.result?.pullRequest != null
    }

    /**
     * Returns the result of a command that has done what it should, or that opened a pull request for it; fails the build else.
     *
     * While a pull request waits, the build is unstable: what was asked for has not happened yet.
     */
    Map expect(Map outcome) {
        if (isWaiting(outcome)) {
            run.script.unstable("${run.step}: ${outcome.result.error.message}")
            return outcome.result
        }
        if (outcome.code != 0 || outcome.result == null) {
            fail(outcome)
        }
        if (outcome.result.blocked) {
            List<String> left = outcome.result.blocked.collect { "${it.service} (${it.code})".toString() }
            run.script.unstable("${run.step}: left as they are: ${left.join(', ')}")
        }
        return outcome.result
    }

    /** Ends the build with one line, and titles it so; the result is archived in full. */
    void fail(Map outcome) {
        if (outcome.told.title) {
            run.page.show(outcome.told + [links: (outcome.told.links ?: [:]) + form(outcome.code)])
        }
        if (outcome.result == null) {
            run.page.show([title: 'failed: the command left no result', about: []])
            run.script.error("${run.step}: the command ended with exit code ${outcome.code} and left no result; what it said is above" +
                ' (run the step again: what is done already is not done twice)')
        }
        run.archive.show(outcome.root, '**/*-result.json')
        if (outcome.result.services) {
            run.report([GITOPS_RESULT: outcome.file])
        }
        Map error = outcome.result.error ?: [message: "exit code ${outcome.code}"]
        String line = outcome.told.error ?: "${error.message}${error.hint ? " (${error.hint})" : ''}"
        run.script.error("${run.step}: ${line}".replaceAll('\\s*[\\r\\n]+\\s*', ' '))
    }

    /**
     * Titles the build of a command that did not come to its end: it was stopped, the agent is lost, or credentials are not there.
     *
     * A command that was stopped in time tells how far it came; what was done before keeps its title.
     */
    @SuppressWarnings('CatchException')
    void unfinished(String command, Exception ended, String told) {
        if (command == 'wait') {
            run.page.add('and the wait for it was interrupted')
        } else if (command != 'report') {
            String title = ended instanceof IOException ? "failed: ${ended.message}" : "interrupted: what ${command} did is not known"
            Map shown = [title: title.tokenize('\n').first(), about: []]
            try {
                shown = run.script.fileExists(told) ? run.script.readJSON(file: told, returnPojo: true) : shown
            } catch (Exception unreachable) {
                run.script.echo("warning: what it told last cannot be read: ${unreachable.message}")
            }
            run.page.show(shown)
        }
    }

    /** Ends the build where something stands in the way of a plan: before it is asked for, or half done. */
    void refuseBlocked(Map outcome) {
        for (service in outcome.result.services) {
            for (block in service.blockedBy) {
                run.page.show([title: "refused: ${block.message}".toString(), about: outcome.told.about, links: form(refused)])
                run.archive.show(outcome.root, '**/*-result.json')
                run.report([GITOPS_PLAN: outcome.file])
                run.script.error("${run.step}: refused (${block.code}): ${block.message} (${block.hint})")
            }
        }
    }

    /** The job's form, where it is to be started again with other parameters, or after a look with the same ones. */
    private Map form(int code) {
        boolean isAskedAgain = code in [noImage, moved, refused] && run.script.env.JOB_URL
        return isAskedAgain ? [again: "${run.script.env.JOB_URL}build?delay=0sec".toString()] : [:]
    }

    /** Links the records that were archived of what a change replaced. */
    void linkRecords(Map result) {
        List<Map> changed = result.changed ? result.services : []
        for (one in changed) {
            run.page.link('record', "gitops-rollback/${one.environment}/${one.service}/record.json")
        }
    }

    /** `{commit, from, to, seconds}`, with `pullRequest` where one was opened; of several services also `services`, each with its own `from` and `to`. */
    Map changed(Map result, long started) {
        Map found = [seconds: (System.currentTimeMillis() - started) / 1000]
        for (key in ['commit', 'blocked', 'pullRequest']) {
            if (result[key]) {
                found[key] = result[key]
            }
        }
        List<Map> services = []
        for (one in result.services) {
            services << one.subMap(['service', 'environment', 'from', 'to'])
        }
        if (services.size() == 1) {
            found.from = services[0].from
            found.to = services[0].to
        } else {
            found.services = services
            found.from = services.collect { it.from }.join(', ')
            found.to = services.collect { it.to }.join(', ')
        }
        return found
    }

}
