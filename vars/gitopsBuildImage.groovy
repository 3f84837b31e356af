import io.github.gitopsrollback.ImageBuild
import io.github.gitopsrollback.Parameters
import io.github.gitopsrollback.StepRun

/** Builds a service's image from its Dockerfile and pushes it; see gitopsBuildImage.txt. */
Map call(Map params = [:]) {
    List<String> own = ['service', 'image', 'context', 'dockerfile', 'target', 'buildArgs', 'labels', 'platforms', 'cacheFrom', 'cacheTo',
                        'pull', 'noCache', 'tool', 'revision', 'source', 'created',
                        'dockerHubCredentialsId', 'registryCredentialsId', 'registryHost']
    StepRun run = new StepRun(this, 'gitopsBuildImage')
    run.values = new Parameters(this, 'gitopsBuildImage').check(params, own, ['service', 'image'])
    return run.inFolder {
        new ImageBuild(run).build()
    }
}
