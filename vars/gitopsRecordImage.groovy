import io.github.gitopsrollback.Outcome
import io.github.gitopsrollback.StepRun

/** Archives what runs now, so that a rollback can bring it back; see gitopsRecordImage.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsRecordImage').check(params)
    return run.inFolder {
        String folder = run.freshFolder()
        Map result = new Outcome(run).expect(run.run('record', [GITOPS_RECORD_DIR: folder]))
        List<Map> records = []
        for (one in result.records) {
            records << one.record
            if (!one.unchanged) {
                String problem = run.archive.put(folder, "gitops-rollback/${one.record.environment}/${one.record.service}/**")
                if (problem) {
                    error("gitopsRecordImage: the record cannot be archived: ${problem} (look at the controller's disk)")
                }
                run.archive.keepBuild()
            }
        }
        return records.size() == 1 ? records[0] : [records: records]
    }
}
