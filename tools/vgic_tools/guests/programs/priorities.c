/* Priorities: order, preemption, ICC_PMR_EL1, ICC_BPR1_EL1 and the running priority. */
#include "guest.h"

const char name[] = "priorities";

enum { LOW = 1, HIGH = 2, LEAST = 3, IDLE = 0xff };

static volatile unsigned order[8], ordered;
static volatile unsigned running[8];
static volatile bool nest, seen_low, nested;

static void note(unsigned intid)
{
	running[ordered] = MRS(ICC_RPR_EL1);
	order[ordered++] = intid;
	if (!nest)
		return;
	if (intid == LOW) {
		seen_low = true;
		unmask();
		send_sgi(cpus[me()].affinity, HIGH);
		wait(200);
		mask();
		seen_low = false;
	} else
		nested |= seen_low;
}

static void start(void)
{
	forget();
	ordered = 0;
	nested = false;
}

static void in_order(void)
{
	start();
	mask();
	send_sgi(cpus[me()].affinity, LEAST);
	send_sgi(cpus[me()].affinity, LOW);
	send_sgi(cpus[me()].affinity, HIGH);
	check(MRS(ICC_HPPIR1_EL1) == HIGH, "the highest priority is shown first");
	unmask();
	EVENTUALLY(ordered == 3);
	check(ordered == 3 && order[0] == HIGH && order[1] == LOW && order[2] == LEAST,
	      "pending together, interrupts are taken by priority");
	check(running[0] == 0x40 && running[1] == 0x80 && running[2] == 0xc0, "each runs at its own priority");
	check(MRS(ICC_RPR_EL1) == IDLE, "then the running priority is idle");
}

static void preempts(void)
{
	start();
	nest = true;
	send_sgi(cpus[me()].affinity, LOW);
	EVENTUALLY(ordered == 2);
	check(ordered == 2 && nested, "a higher priority preempts");
	check(running[0] == 0x80 && running[1] == 0x40, "and runs at its own priority");
	check(MRS(ICC_RPR_EL1) == IDLE, "after both the running priority is idle");
	start();
	set_priority(me(), LOW, 0xc0);
	set_priority(me(), HIGH, 0x90);
	MSR(ICC_BPR1_EL1, 7); /* priorities of 0x80 and above are one group */
	send_sgi(cpus[me()].affinity, LOW);
	EVENTUALLY(ordered == 2);
	check(ordered == 2 && !nested, "within one group priority nothing preempts");
	MSR(ICC_BPR1_EL1, 0);
	start();
	set_priority(me(), LOW, 0x80);
	set_priority(me(), HIGH, 0x80);
	send_sgi(cpus[me()].affinity, LOW);
	EVENTUALLY(ordered == 2);
	check(ordered == 2 && !nested, "the same priority does not preempt");
	set_priority(me(), HIGH, 0x40);
	nest = false;
}

static void masked(void)
{
	start();
	MSR(ICC_PMR_EL1, 0x80);
	send_sgi(cpus[me()].affinity, LOW);
	wait(200);
	check(!ordered && bit_of(me(), GICD_ISPENDR, LOW), "a priority that equals ICC_PMR_EL1 is masked");
	send_sgi(cpus[me()].affinity, HIGH);
	check(EVENTUALLY(ordered == 1) && order[0] == HIGH, "a higher one is not");
	MSR(ICC_PMR_EL1, 0xf0);
	check(EVENTUALLY(ordered == 2) && order[1] == LOW, "with ICC_PMR_EL1 raised the other is taken");
}

static void raised(void)
{
	start();
	mask();
	send_sgi(cpus[me()].affinity, LEAST);
	send_sgi(cpus[me()].affinity, LOW);
	set_priority(me(), LEAST, 0x20);
	unmask();
	EVENTUALLY(ordered == 2);
	check(ordered == 2 && order[0] == LEAST, "a priority that is raised while pending counts");
	set_priority(me(), LEAST, 0xc0);
}

static void disabled_group(void)
{
	start();
	MSR(ICC_IGRPEN1_EL1, 0);
	send_sgi(cpus[me()].affinity, HIGH);
	wait(200);
	check(!ordered, "with its group disabled nothing is taken");
	MSR(ICC_IGRPEN1_EL1, 1);
	check(EVENTUALLY(ordered == 1), "with its group enabled it is");
}

static void everything(void)
{
	set_priority(me(), LOW, 0x80);
	set_priority(me(), HIGH, 0x40);
	set_priority(me(), LEAST, 0xc0);
	in_order();
	preempts();
	masked();
	raised();
	disabled_group();
}

void test(void)
{
	handler = note;
	everything();
}
