// Runs builds that a file describes: Builds.groovy ROOT trusted|sandboxed DESCRIPTION RESULT
import harness.Play

new Play(new File(args[0]), args[1] == 'sandboxed').run(new File(args[2]), new File(args[3]))
