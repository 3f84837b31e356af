// Job DSL: a deploy job for each service, and in a folder of their own the rollback job and the nightly drill.
// The same as `gitops-rollback jobs install`; everything that differs comes from the environment. Job DSL writes a job's whole
// configuration each time: what is not declared here, a form's fields and the drill's trigger, would be gone until the next run.
String library = System.getenv('LIBRARY_URL')
String version = System.getenv('LIBRARY_BRANCH') ?: 'main'
List<String> services = System.getenv('SERVICES').tokenize(', ')

Closure pipelineOf = { job, String script ->
    job.definition {
        cpsScm {
            scm {
                git {
                    remote { url(library) }
                    branch(version.startsWith('refs/') ? version : "*/${version}")  // a tag is refs/tags/NAME
                }
            }
            scriptPath(script)
            lightweight(true)
        }
    }
}

folder('shop')

// Who is on call has to see the folder to reach the job in it; what is in it inherits that, so deploy jobs are elsewhere.
folder('ops') {
    properties {
        authorizationMatrix {
            entries {
                user {
                    name('oncall')
                    permissions(['Job/Read'])
                }
            }
            inheritanceStrategy { inheriting() }
        }
    }
}

services.each { service ->
    Object deploy = pipelineJob("shop/${service}") {
        description("Builds ${service}, archives what runs, deploys the new image.")
    }
    deploy.parameters {
        stringParam('SERVICE', '', 'The service to build and deploy.')
        stringParam('IMAGE', '', 'Where its images go, without a tag: docker.io/acme/cart')
        stringParam('VERSION', '', 'The new tag; if empty the Git tag, else build number and commit.')
        stringParam('ENVIRONMENT', '', 'The environment, where there are several.')
        stringParam('REASON', '', 'Why, for the commit.')
        booleanParam('RELEASE', false, 'Deploy although the service is held, and end the hold.')
        booleanParam('ALLOW_OLDER', false, 'Deploy although a later build has deployed.')
        stringParam('ACCEPT', '',
            'Codes of refusals to accept, separated by commas: bad, retag, same-tag, tag, effect, automation, gone, platform, not-an-image')
        // one choice each: who may start the job cannot change them
        choiceParam('GITOPS_SERVICE', [service])
        choiceParam('GITOPS_IMAGE_REPOSITORY', [System.getenv('IMAGE_REPOSITORY').replace('{service}', service)])
        choiceParam('GITOPS_SOURCE', [System.getenv('SOURCE_URL').replace('{service}', service)])
    }
    pipelineOf(deploy, 'Jenkinsfile')
}

Object rollback = pipelineJob('ops/rollback') {
    description("Puts a service's previous image back and holds it there.")
    properties {
        authorizationMatrix {
            entries {
                user {
                    name('oncall')
                    permissions(['Job/Read', 'Job/Build', 'Job/Cancel'])
                }
            }
            inheritanceStrategy { inheriting() }
        }
    }
}
rollback.parameters {
    choiceParam('ACTION', ['rollback', 'plan', 'release', 'history'], 'Roll back, only show what would be done, end a hold, or show what ran when.')
    choiceParam('SERVICE', [''] + services, 'The service, or a set.')
    stringParam('OTHER', '', 'Instead of SERVICE: several separated by commas, or one that the list lacks.')
    choiceParam('LIBRARY', ['gitops-rollback'], 'The library that this job runs: nothing to choose.')
    stringParam('ENVIRONMENT', '', 'The environment, where there are several.')
    stringParam('REASON', '', 'Why; needed to roll back and to release.')
    stringParam('TO', '', 'The image to go back to: a tag, a digest, an image, or a build such as #41. If empty, the previous one.')
    stringParam('AS_OF', '', 'Go back to what ran then: an age such as 2h, or a time such as 2026-01-31T02:40+01:00.')
    choiceParam('STRATEGY', ['auto', 'artifact', 'git', 'registry'], 'Where the previous image is looked for.')
    stringParam('QUERY', '', 'JMESPath query over the tags of the registry.')
    booleanParam('AGAIN', false, 'Go one further back although it was just rolled back.')
    booleanParam('SKIP_BLOCKED', false, 'Of several services, do those that nothing stands in the way of.')
    stringParam('ACCEPT', '',
        'Codes of refusals to accept, separated by commas: bad, same-tag, tag, effect, automation, storage, schema, gone, platform, ' +
        'not-an-image, mutable-tag, never-deployed, unproven')
    booleanParam('DRY_RUN', false, 'Write nothing: for rollback the same as ACTION plan.')
    choiceParam('GITOPS_SERVICES', [services.join(',')])
}
pipelineOf(rollback, 'Jenkinsfile.rollback')

Object drill = pipelineJob('ops/drill') {
    description('Asks every night whether a rollback would work.')
    properties {
        pipelineTriggers {
            triggers {
                cron { spec('H 3 * * *') }
            }
        }
    }
}
pipelineOf(drill, 'Jenkinsfile.drill')
