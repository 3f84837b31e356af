// The examples, as they are.
import harness.HarnessError
import harness.JobDsl
import harness.World

Map environment = [LIBRARY_URL: 'https://git.example.com/library.git', LIBRARY_BRANCH: 'v1', SERVICES: 'cart,payment',
                   IMAGE_REPOSITORY: 'docker.io/acme/{service}', SOURCE_URL: 'https://git.example.com/{service}.git']

scenario('the Job DSL of the examples makes the folders and jobs that jobs install makes') { World world ->
    Map jobs = JobDsl.run(new File(world.controller.root, 'examples/jenkins/jobs.groovy'), environment)
    same(jobs.keySet().toList(), ['shop', 'ops', 'shop/cart', 'shop/payment', 'ops/rollback', 'ops/drill'])
    same(['shop/cart', 'ops/rollback', 'ops/drill'].collect { jobs[it].find('cpsScm').value('scriptPath') }, ['Jenkinsfile', 'Jenkinsfile.rollback', 'Jenkinsfile.drill'])
    ['shop/cart', 'ops/rollback', 'ops/drill'].each { job ->
        same(jobs[job].find('remote').value('url'), environment.LIBRARY_URL)
        same(jobs[job].find('git').value('branch').toString(), '*/v1')
        same(new File(world.controller.root, jobs[job].find('cpsScm').value('scriptPath')).isFile(), true)
    }
    same(jobs['shop/payment'].find('parameters').values*.toString(), ['[choiceParam, GITOPS_SERVICE, [payment]]',
        '[choiceParam, GITOPS_IMAGE_REPOSITORY, [docker.io/acme/payment]]', '[choiceParam, GITOPS_SOURCE, [https://git.example.com/payment.git]]'])
}

scenario('the person on call has rights on the rollback job and its folder only') { World world ->
    Map jobs = JobDsl.run(new File(world.controller.root, 'examples/jenkins/jobs.groovy'), environment)
    Map rights = jobs.findAll { it.value.all('user') }.collectEntries { name, job -> [(name): job.all('user')*.value('permissions')] }
    same(rights, [ops: [['Job/Read']], 'ops/rollback': [['Job/Read', 'Job/Build', 'Job/Cancel']]])
}

scenario('the reference of Job DSL refuses what it does not know') { World world ->
    File wrong = new File(world.folder, 'jobs.groovy')
    ["pipelineJob('a') { definitions { } }", "pipelineJob('no/folder') { }", "freeStyleJob('a') { }"].each { text ->
        wrong.text = text
        Throwable refused = null
        try { JobDsl.run(wrong, environment) } catch (MissingMethodException | HarnessError failed) { refused = failed }
        same([text, refused != null], [text, true])
    }
}
