package io.github.gitopsrollback

import groovy.json.JsonOutput

/**
 * Plan, record, archive, roll back.
 *
 * The record of what is replaced is archived before the push. Where that fails, the rollback goes all the same, with a warning:
 * the state file in Git holds the same facts. Where the manifests moved since the plan was made, and nobody had approved that plan,
 * it plans once more, and goes on only if the same image runs and the same one would be put back.
 */
class Rollback implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final int moved = 5
    private final List<String> choosing = ['strategy', 'to', 'asOf', 'query']
    private final List<String> notOfPlan = ['plan', 'reason', 'keep', 'dryRun']
    private boolean isArchived = false

    /** @param run the step's run */
    Rollback(StepRun run) {
        this.run = run
    }

    /** Rolls back; returns `{commit, from, to, seconds}`. */
    Map rollBack() {
        long started = System.currentTimeMillis()
        Object given = run.values.plan
        String file = given instanceof Map ? written(given) : given ?: run.values.dryRun ? '' : planned()
        Map outcome = once(file)
        if (outcome.code == moved && !run.values.approvedBy) {
            file = again(file, outcome)
            outcome = once(file)
        }
        if (outcome.code != 0 && isArchived) {
            run.script.echo("${run.step}: the record that this build archived stands for a rollback that did not happen; nobody goes back by it")
        }
        Outcome ended = new Outcome(run)
        Map result = ended.expect(outcome)
        run.page.show(outcome.told)
        if (isArchived) {
            ended.linkRecords(result)
        }
        Map changed = ended.changed(result, started)
        Map waited = new Waiting(run).after(outcome)
        run.report([GITOPS_RESULT: outcome.file, GITOPS_PLAN: file] + (waited ? [GITOPS_ROLLOUT: waited.file] : [:]))
        return waited ? changed + [times: waited.result.seconds, state: waited.result.state] : changed
    }

    /** Records, archives, rolls back. */
    private Map once(String file) {
        if (run.values.dryRun) {
            return run.run('rollback', [GITOPS_PLAN: file], file ? choosing : [])
        }
        String folder = run.freshFolder()
        Map recorded = run.run('record', [GITOPS_PLAN: file, GITOPS_RECORD_DIR: folder], notOfPlan + choosing + ['from'])
        if (recorded.code != 0) {
            return recorded
        }
        List<String> files = []
        for (one in recorded.result.records) {
            files << one.file
        }
        archived(folder)
        return run.run('rollback', [GITOPS_PLAN: file, GITOPS_RECORD: files.join('\n')], choosing)
    }

    private void archived(String folder) {
        String problem = run.archive.put(folder, 'gitops-rollback/**')
        isArchived = problem == ''
        if (problem) {
            run.script.unstable("${run.step}: the record of what is replaced could not be archived: ${problem} (look at the controller's disk;" +
                ' the rollback goes on, for the state file in Git holds the same facts)')
        }
    }

    /** Plans, and returns the file with the plan. */
    private String planned() {
        Outcome ended = new Outcome(run)
        Map outcome = run.run('plan', [:], notOfPlan)
        ended.expect(outcome)
        if (!run.values.skipBlocked) {
            ended.refuseBlocked(outcome)
        }
        return outcome.file
    }

    /** Plans once more after the manifests moved; ends the build unless the same decision holds. */
    private String again(String file, Map outcome) {
        Map before = run.script.readJSON(file: file, returnPojo: true)
        Map planned = run.run('plan', [GITOPS_SERVICE: names(before), GITOPS_ENVIRONMENT: environment(before)], notOfPlan)
        if (planned.code != 0 || decided(planned.result) != decided(before)) {
            new Outcome(run).fail(outcome)
        }
        run.script.echo("${run.step}: the manifests moved since the plan was made; planned again, and the same image is to be put back")
        return planned.file
    }

    private String written(Map plan) {
        if (!plan.services) {
            run.script.error("${run.step}: there is no plan of this run (start the job again: a plan is not kept from one run to another)")
        }
        String file = "${run.freshFolder()}/plan.json".toString()
        run.script.writeFile(file: file, text: JsonOutput.toJson(plan.findAll { it.key != 'shown' }))
        return file
    }

    /** What a plan decides: from which image to which, for each service. */
    private List<String> decided(Map plan) {
        List<String> found = []
        for (one in plan.services) {
            found << "${one.service} ${one.environment} ${one.current?.image} ${one.to?.image}".toString()
        }
        return found.toSorted()
    }

    private String names(Map plan) {
        List<String> found = []
        for (one in plan.services) {
            found << one.service
        }
        return found.join(',')
    }

    private String environment(Map plan) {
        String found = plan.services.first().environment
        return found == 'default' ? '' : found
    }

}
